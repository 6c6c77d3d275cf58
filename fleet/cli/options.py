"""Options that many commands share."""

import os
from pathlib import Path
from typing import Annotated

import typer

InventoryOption = Annotated[
    Path, typer.Option("--inventory", "-i", envvar="FLEET_INVENTORY", help="Folder that holds fleet.yaml.")
]
WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", envvar="FLEET_WORKSPACE", help="Where state, journal and reports are kept."),
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine", envvar="FLEET_ENGINE", help="pulumi: the Pulumi CLI, for Azure. local: the sandbox."
    ),
]
OutputOption = Annotated[str, typer.Option("--output", "-o", help="table or json.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", min=1, help="Sites at once; default: one for each processor.")
]
HERE, WORKSPACE = Path(), Path(".fleet")
PROCESSORS = os.cpu_count() or 1
