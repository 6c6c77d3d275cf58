"""How long `fleet validate` takes: cold, with nothing changed, with one site changed. `validate.py [N …]`.

Wall and processor time and the largest memory of a process of its own, and how often one could parse the same
files with PyYAML's C parser in the wall time of the first run. Figures only: nothing fails on a time.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from generate_fleet import generate

PARSE = """
import pathlib, sys, yaml
for path in pathlib.Path(sys.argv[1]).rglob("*.yaml"):
    yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
"""


def measured(*arguments: str) -> tuple[float, float, float]:
    """Wall and processor seconds of a Python process, and the MB that it held at most."""
    started = time.perf_counter()
    child = os.posix_spawn(sys.executable, [sys.executable, *arguments], os.environ)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"failed: {' '.join(arguments)}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measure(sites: int, folder: Path) -> None:
    """Print the figures for a fleet of so many sites."""
    generate(sites, folder / "fleet")
    parse, _, _ = measured("-c", PARSE, str(folder / "fleet"))
    validate = (
        "-m",
        "fleet.cli.main",
        "validate",
        "-i",
        str(folder / "fleet"),
        "--workspace",
        str(folder / "ws"),
    )

    def one_changed() -> None:
        path = min((folder / "fleet" / "sites").iterdir())
        path.write_text(path.read_text(encoding="utf-8").replace("line: ", "line: new-"), encoding="utf-8")

    print(f"{sites:,} sites; parsing their files alone takes {parse:.2f} s")
    for name, before in (("cold", None), ("unchanged", None), ("one changed", one_changed)):
        if before is not None:
            before()
        wall, processor, memory = measured(*validate)
        ratio = f"   {wall / parse:5.2f} times the parsing"
        print(
            f"  {name:12} {wall:7.2f} s   {processor:7.2f} s processor   {memory:6.0f} MB{ratio}", flush=True
        )


if __name__ == "__main__":
    for number in [int(argument) for argument in sys.argv[1:]] or [1_000, 10_000]:
        with tempfile.TemporaryDirectory() as name:
            measure(number, Path(name))
