"""How long commands take, as whole processes, against an empty Python process; the median of several runs.

`make bench`. Prints figures and ratios, and fails on none.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FLEET = str(Path(sys.executable).with_name("fleet"))
FACTORY = str(ROOT / "examples" / "factory")
RUNS = 7


def seconds(command: list[str]) -> float:
    """Median wall time of a command, after one run that warms the file cache."""
    times = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        subprocess.run(
            command, check=True, capture_output=True, cwd=ROOT, env={**os.environ, "NO_COLOR": "1"}
        )
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def main() -> None:
    """Print a table: command, seconds, times as long as `python -c pass`."""
    folder = tempfile.mkdtemp()
    try:
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "fleet --help": [FLEET, "--help"],
            "fleet validate (3 sites)": [FLEET, "validate", "-i", FACTORY],
            "fleet show graz --provenance": [FLEET, "show", "graz", "-i", FACTORY, "--provenance"],
            "fleet render --all (3 sites)": [
                FLEET,
                "render",
                "--all",
                "-i",
                FACTORY,
                "--out",
                f"{folder}/out",
            ],
            "fleet plan (3 sites)": [FLEET, "plan", "-i", FACTORY, "--workspace", f"{folder}/w"],
        }
        base = None
        for name, command in commands.items():
            took = seconds(command)
            base = base or took
            print(f"{name:32} {took:6.3f} s  {took / base:6.1f} x")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"largest process: {peak:.0f} MB")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
