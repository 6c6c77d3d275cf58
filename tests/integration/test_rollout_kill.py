"""kill -9 at any moment: resumed, every site finishes, and no completed step runs twice."""

import collections
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet.adapters.sqlite_journal import SqliteJournal
from fleet.app.rollout import rollout_view
from fleet.ports.rollout import DriverLockedError
from fleet.rollout.events import RunState, StepFinished
from fleet.rollout.progress import SiteState

SITES, STEPS, KILLS = 40, 2, 6

DRIVER = '''
"""Drives a rollout of slow steps with a process pool; each step logs its begin and end."""
import os, random, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from fleet.adapters.clock import SystemClock
from fleet.adapters.sqlite_journal import SqliteJournal
from fleet.app.rollout import RolloutRunner, prepare_worker
from fleet.ports.rollout import Health, StepOutcome
from fleet.rollout.events import Verdict
from fleet.rollout.spec import RingSpec, RolloutSpec, SiteSteps, Step

folder, method, sites, steps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

class Slow:
    def __init__(self, folder):
        self.folder = folder

    def note(self, *words):
        fd = os.open(self.folder / "effects.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, (" ".join(words) + "\\n").encode())
        os.close(fd)

    def run(self, site, step):
        self.note("begin", site, step.id)
        time.sleep(random.uniform(0.005, 0.04))
        while (self.folder / "hold").exists():
            time.sleep(0.01)
        self.note("end", site, step.id)
        return StepOutcome.done()

    def probe(self, site):
        return Health(Verdict.HEALTHY)

if __name__ == "__main__":
    work = tuple(Step(f"p{k}", "slow", "1") for k in range(steps))
    names = [SiteSteps(f"s{i}", work) for i in range(sites)]
    spec = RolloutSpec((RingSpec("one", tuple(names[:4])), RingSpec("two", tuple(names[4:]))), 4)
    pool = ProcessPoolExecutor(4, mp_context=get_context(method), initializer=prepare_worker)
    with SqliteJournal(folder / "rollout.db") as journal, pool:
        slow = Slow(folder)
        runner = RolloutRunner(journal, slow, slow, SystemClock(), pool, in_flight_limit=4, poll_seconds=0.05)
        (runner.resume if journal.runs() else lambda: runner.start(spec))()
'''


def drive(folder: Path, method: str) -> "subprocess.Popen[bytes]":
    script = folder / "driver.py"
    script.write_text(DRIVER)
    command = [sys.executable, str(script), str(folder), method, str(SITES), str(STEPS)]
    return subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, stderr=subprocess.PIPE
    )


def completed(folder: Path) -> set[tuple[str, str]]:
    """Steps whose completion the journal holds."""
    if not (folder / "rollout.db").exists():
        return set()
    with SqliteJournal(folder / "rollout.db") as journal:
        journal.verify()
        runs = journal.runs()
        events = list(journal.events(runs[0].run_id)) if runs else []
    return {(e.site, e.step) for e in events if isinstance(e, StepFinished) and e.ok}


def wait_until_free(folder: Path) -> None:
    """Until the killed driver's workers are gone too: they hold its lock while they can still act."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with SqliteJournal(folder / "rollout.db") as journal, journal.driver_lock():
                return
        except DriverLockedError:
            assert time.monotonic() < deadline, "the lock outlives the driver"


def effects(log: Path) -> int:
    return log.read_text().count("\n") if log.exists() else 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_killed_again_and_again_every_site_finishes_and_no_completed_step_runs_twice(
    tmp_path, method
) -> None:
    chance = random.Random(7)
    log = tmp_path / "effects.log"
    seen_done: list[tuple[int, set[tuple[str, str]]]] = []
    for _ in range(KILLS):
        # A random moment, counted in effects: so many lines further the driver is killed.
        target = effects(log) + chance.randrange(1, 12)
        with drive(tmp_path, method) as driver:
            while driver.poll() is None and effects(log) < target:
                time.sleep(0.002)
            driver.send_signal(signal.SIGKILL)
        wait_until_free(tmp_path)
        seen_done.append((effects(log), completed(tmp_path)))
    with drive(tmp_path, method) as driver:
        _, stderr = driver.communicate(timeout=60)
        assert driver.returncode == 0, stderr.decode()

    lines = [tuple(line.split()) for line in log.read_text().splitlines()]
    for position, done in seen_done:
        again = {(site, step) for what, site, step in lines[position:] if what == "begin"} & done
        assert not again, "completed steps ran again after the kill"
    ends = {(site, step) for what, site, step in lines if what == "end"}
    assert ends == {(f"s{i}", f"p{k}") for i in range(SITES) for k in range(STEPS)}
    begins = collections.Counter((site, step) for what, site, step in lines if what == "begin")
    # What was in flight at a kill runs again, and nothing else: at most 4 for each kill.
    assert sum(begins.values()) - SITES * STEPS <= 4 * KILLS
    assert len(seen_done[-1][1]) < SITES * STEPS, "the kills came too late to mean anything"
    with SqliteJournal(tmp_path / "rollout.db") as journal:
        journal.verify()
        view = rollout_view(journal)
    assert view.state is RunState.COMPLETED
    assert {site.state for site in view.sites} == {SiteState.HEALTHY}


def test_a_second_driver_at_the_same_time_is_refused(tmp_path) -> None:
    (tmp_path / "hold").touch()
    with drive(tmp_path, "fork") as first:
        while first.poll() is None and not (tmp_path / "effects.log").exists():
            time.sleep(0.005)
        with drive(tmp_path, "fork") as second:
            _, stderr = second.communicate(timeout=60)
        assert second.returncode != 0
        assert f"is held by process {first.pid}" in stderr.decode()
        (tmp_path / "hold").unlink()
        first.communicate(timeout=60)
        assert first.returncode == 0
