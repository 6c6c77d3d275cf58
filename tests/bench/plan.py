"""How long `fleet plan` takes: by workers, with nothing remembered and with everything. `plan.py [N …]`.

Sites a second, processor seconds a site, and memory of all its processes (PSS: shared pages count once). Walls
of a shared machine say little, so each run stands beside a fixed loop of Python that was timed around it, and
beside a floor: a Pulumi program that declares as many resources as a site has, against the SDK's mocks.
The last run has everything remembered, unless fleet's own files changed meanwhile. Figures only: nothing fails
on a time.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from generate_fleet import generate

RESOURCES = 35
"""About what a generated site has on the average."""
FLOOR_SITES = 30
LOOP = 5_000_000
TICKS = os.sysconf("SC_CLK_TCK")

PLAN = """
import sys
from pathlib import Path
from fleet.cli.plan_command import run_plan
if __name__ == "__main__":
    raise SystemExit(run_plan(Path(sys.argv[1]), Path(sys.argv[2]), [], int(sys.argv[3]), "table", False))
"""

FLOOR = """
import asyncio, contextvars, sys, time
import pulumi, pulumi_azure_native
from pulumi.runtime import reset_options, run_in_stack
from pulumi.runtime.mocks import MockEngine, MockMonitor

class Nothing(pulumi.runtime.Mocks):
    def new_resource(self, args):
        return args.name, args.inputs
    def call(self, args):
        return {}

class Thing(pulumi.CustomResource):
    def __init__(self, name):
        super().__init__("azure-native:resources:Resource", name, {"location": "x", "properties": {"a": 1}})

def program():
    for number in range(int(sys.argv[2])):
        Thing(f"n{number}")

def site():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    reset_options(project="p", stack="s", organization="o", parallel=16, preview=True,
                  monitor_address=MockMonitor(Nothing()), engine_address=MockEngine(None))
    loop.run_until_complete(run_in_stack(program))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()

contextvars.copy_context().run(site)
before = time.process_time()
for _ in range(int(sys.argv[1])):
    contextvars.copy_context().run(site)
print((time.process_time() - before) / int(sys.argv[1]))
"""


@dataclass(frozen=True)
class Used:
    """Wall and processor seconds of a session of processes, and the MB that all of them held at most."""

    wall: float
    processor: float
    memory: float


def session_use(session: int) -> tuple[dict[int, float], float]:
    """Processor seconds so far by process, and the PSS in MB of all processes of a session."""
    times, memory = {}, 0.0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError, IndexError, ValueError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) != session:
                continue
            times[int(entry.name)] = (int(fields[11]) + int(fields[12])) / TICKS
            pss = next(x for x in (entry / "smaps_rollup").read_text().splitlines() if x.startswith("Pss:"))
            memory += int(pss.split()[1]) / 1024
    return times, memory


def measured(*arguments: str) -> Used:
    """Run Python; sample all its processes four times a second (the last quarter second may be missed)."""
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    times: dict[int, float] = {}
    most = 0.0
    try:
        while child.poll() is None:
            now, memory = session_use(child.pid)
            times |= now
            most = max(most, memory)
            time.sleep(0.25)
    finally:
        child.kill()
    if child.returncode not in (0, 10):
        raise SystemExit(f"failed: {' '.join(arguments)}")
    return Used(time.perf_counter() - started, sum(times.values()), most)


def loop_seconds() -> float:
    """Processor seconds of a fixed loop: how fast this machine is just now."""
    before = time.process_time()
    total = 0
    for number in range(LOOP):
        total += number * number
    return time.process_time() - before


def floor_seconds(resources: int) -> float:
    """Processor seconds of declaring so many resources with the SDK's mocks."""
    command = [sys.executable, "-c", FLOOR, str(FLOOR_SITES), str(resources)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return float(done.stdout)


def measure(sites: int, folder: Path) -> None:
    """Print the figures for a fleet of so many sites."""
    generate(sites, folder / "fleet")
    program = folder / "bench_plan.py"
    program.write_text(PLAN, encoding="utf-8")
    floor = floor_seconds(RESOURCES)
    print(f"{sites:,} sites; {RESOURCES} resources declared alone take {floor * 1000:.0f} ms of processor")
    for name, jobs, workspace in (
        ("-j 1", 1, "one"), ("-j 2", 2, "two"), ("remembered", 2, "two"),
    ):  # fmt: skip
        before = loop_seconds()
        used = measured(str(program), str(folder / "fleet"), str(folder / workspace), str(jobs))
        loop = (before + loop_seconds()) / 2
        each = used.processor / sites
        print(
            f"  {name:10} {used.wall:7.1f} s  {sites / used.wall:6.1f} sites/s  "
            f"{each * 1000:6.1f} ms processor a site  {each / floor:5.2f} x floor  "
            f"{used.processor / loop:7.1f} x loop ({loop:.2f} s)  {used.memory:5.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    for number in [int(argument) for argument in sys.argv[1:]] or [100, 1_000]:
        with tempfile.TemporaryDirectory() as name:
            measure(number, Path(name))
