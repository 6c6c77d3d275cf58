"""The CustomResourceDefinitions of what rendered sites use, from where their makers publish them.

Most come out of Go modules, checked against the sums in `definitions.yaml`. Those of Flux's helm-controller, KAI
Scheduler, NVIDIA's operator and agent-sandbox are on no module proxy: they are read from ../shared/contracts, which
only a checkout of this project's makers has.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.conformance.binaries import HERE
from tests.conformance.cluster import Document, documents
from tests.factory import ROOT

UNPUBLISHED = (
    "foundrylocal.azure.com",
    "postgresql.cnpg.io",
    # Azure's secret store extension; Microsoft documents the kinds and publishes no definition.
    "secrets-store.csi.x-k8s.io",
    "secret-sync.x-k8s.io",
    # Gatekeeper makes these kinds itself, each from a ConstraintTemplate.
    "constraints.gatekeeper.sh",
    # In Kong's chart alone.
    "configuration.konghq.com",
)
"""Groups whose definitions are neither in a Go module nor in the contracts: their objects are not checked."""
_OF_CONTRACTS = (
    "helm.toolkit.fluxcd.io", "kai.scheduler", "scheduling.run.ai", "nvidia.com",
    "agents.x-k8s.io", "extensions.agents.x-k8s.io",
)  # fmt: skip
CONTRACTS = ROOT.parent / "shared" / "contracts" / "crds"


@cache
def definitions() -> Sequence[Document]:
    """All of them, each once. Skips the test where there is no Go to fetch modules with."""
    return [*_of_modules(), *_of_contracts()]


def checkable(found: Sequence[Document]) -> list[Document]:
    """Those whose kind a server with `definitions` knows, or should know."""
    unknown = UNPUBLISHED if CONTRACTS.is_dir() else (*UNPUBLISHED, *_OF_CONTRACTS)
    return [d for d in found if d.value["apiVersion"].rpartition("/")[0] not in unknown]


@cache
def module_folder(module: str) -> Path:
    """The files of a module of `definitions.yaml`. Skips the test where there is no Go."""
    row = next(row for row in _rows() if row["module"] == module)
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no Go on PATH to fetch definitions with (tests/conformance/definitions.yaml)")
    done = subprocess.run(
        [go, "mod", "download", "-json", f"{module}@{row['version']}"],
        capture_output=True, text=True, check=False, cwd=HERE,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert not answer.get("Error"), answer["Error"]
    assert answer["Sum"] == row["sum"], f"{module} is not what it was: {answer['Sum']}"
    return Path(answer["Dir"])


def _rows() -> Sequence[dict[str, str]]:
    rows: Sequence[dict[str, str]] = yaml.safe_load((HERE / "definitions.yaml").read_text())
    return rows


def _of_modules() -> Iterator[Document]:
    for row in _rows():
        folder = module_folder(row["module"])
        for pattern in row["files"]:
            files = sorted(folder.glob(pattern))
            assert files, f"{row['module']} has no {pattern}"
            for file in files:
                yield from _read(file)


def _of_contracts() -> Iterator[Document]:
    if CONTRACTS.is_dir():
        flux = ("source.", "kustomize.")
        for file in sorted(CONTRACTS.glob("*.yaml")):
            if not file.name.startswith(flux):  # those come with the controllers' modules
                yield from _read(file)


def _read(file: Path) -> Iterator[Document]:
    for document in documents(file.read_text()):
        if document.value["kind"] == "CustomResourceDefinition":
            yield document
