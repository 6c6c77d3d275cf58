"""How long `fleet render --all --out` takes, validation included: cold, unchanged, one site changed.

`render.py [N …]` (1,000 and 10,000 by default). Wall and processor seconds of all processes and the memory of
all of them (PSS); beside them the load and a fixed loop of Python, since walls of a shared machine say little.
Trees are written to memory (/dev/shm) where there is some, so that a disk is not what is measured; validation
and templates are, cold, at two processes. It works on a copy of fleet: an edit meanwhile would make every tree
old. Figures only: nothing fails on a time.
"""

import hashlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from generate_fleet import generate
from plan import loop_seconds, measured

from fleet import catalog

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = {"fleet": "fleet", "templates": "fleet_templates", "validators": "fleet_validators"}


def copied_fleet(into: Path) -> None:
    """This fleet's packages by the names that they are installed under, first in the path of children."""
    for folder, name in {**PACKAGES, "stacks": "fleet_stacks"}.items():
        shutil.copytree(ROOT / folder, into / name)
    os.environ["PYTHONPATH"] = str(into)


def with_components(folder: Path) -> None:
    """A digest for every component of the catalogue: the fleet may switch on any."""
    path = folder / "fleet.yaml"
    text = re.sub(r"^  components:\n(    .*\n)*", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    rows = (
        f"    {name}: {{digest: sha256:{hashlib.sha256(f'example:{name}'.encode()).hexdigest()}}}\n"
        for name in sorted(catalog.components())
    )
    text = text.replace("defaults:\n", f"defaults:\n  components:\n{''.join(rows)}", 1)
    path.write_text(text, encoding="utf-8")


def measure(sites: int, folder: Path) -> None:
    """Print the figures for a fleet of so many sites."""
    inventory, out = folder / "inventory", folder / "out"
    generate(sites, inventory)
    with_components(inventory)
    command = ["-m", "fleet.cli.main", "render", "--all", "-j", "2", "-i", str(inventory)]
    command += ["--out", str(out), "--workspace", str(folder / "ws")]

    def one_changed() -> None:
        path = min((inventory / "sites").iterdir())
        path.write_text(path.read_text(encoding="utf-8") + "environment: test\n", encoding="utf-8")

    print(f"{sites:,} sites; load {os.getloadavg()[0]:.1f}")
    for name, before in (("cold", None), ("unchanged", None), ("one changed", one_changed)):
        if before is not None:
            before()
        loop = loop_seconds()
        used = measured(*command)
        loop = (loop + loop_seconds()) / 2
        print(
            f"  {name:12} {used.wall:7.2f} s  {used.processor:7.2f} s processor  {used.memory:5.0f} MB"
            f"  {used.processor / loop:6.1f} x loop ({loop:.2f} s)",
            flush=True,
        )
    files = [path for path in out.rglob("*.yaml") if path.is_file()]
    objects = sum(path.read_bytes().count(b"\nkind: ") for path in files)
    print(f"  {len(files) / sites:.0f} files, {objects / sites:.0f} objects a site")


if __name__ == "__main__":
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    for number in [int(argument) for argument in sys.argv[1:]] or [1_000, 10_000]:
        with tempfile.TemporaryDirectory(dir=place, prefix="fleet-bench-") as name:
            copied_fleet(Path(name) / "packages")
            measure(number, Path(name))
