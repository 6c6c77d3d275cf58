"""One suite for every journal: the SQLite file and a stand-in in memory; then what only a file can suffer."""

import multiprocessing
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from fleet.adapters.sqlite_journal import SCHEMA_VERSION, SqliteJournal
from fleet.ports.rollout import (
    DriverLockedError,
    Holder,
    Intent,
    Journal,
    JournalError,
    JournalIntegrityError,
    JournalMissingError,
    JournalUnreadableError,
    JournalVersionError,
    NotDriverError,
    RunInfo,
    UnknownRunError,
)
from fleet.rollout.chain import next_record
from fleet.rollout.events import (
    Event,
    IntentKind,
    RunEnded,
    RunResumed,
    RunStarted,
    RunState,
    SiteRecorded,
    StepFinished,
    StepStarted,
)
from fleet.rollout.spec import RingSpec, RolloutSpec, SiteRecord, SiteSteps, Step

SPEC = RolloutSpec(
    (RingSpec("r0", (SiteSteps("lyon", (Step("infra", "pulumi", "sha256:1"),)),), 5.0),), "50%"
)
START = RunStarted(100.0, SPEC.digest, ())


class FixedClock:
    def now(self) -> float:
        return 160.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("a journal does not sleep")


class MemoryJournal:
    """A journal that forgets: the stand-in that the suite holds to the same promises."""

    def __init__(self) -> None:
        self._specs: dict[str, RolloutSpec] = {}
        self._events: dict[str, list[Event]] = {}
        self._sites: dict[tuple[str, str], SiteRecord] = {}
        self._intents: list[Intent] = []
        self._holder: Holder | None = None

    @contextmanager
    def driver_lock(self) -> Iterator[Holder]:
        if self._holder is not None:
            raise DriverLockedError("locked", self._holder, 160.0 - self._holder.since)
        self._holder = Holder(1, "here", 160.0)
        try:
            yield self._holder
        finally:
            self._holder = None

    def driver(self) -> Holder | None:
        return self._holder

    def create_run(self, run_id, spec, events) -> None:
        if self._holder is None:
            raise NotDriverError("no lock")
        if run_id in self._specs:
            raise JournalError(f"run {run_id} exists")
        self._specs[run_id], self._events[run_id] = spec, []
        self.append(run_id, events)

    def append(self, run_id, events) -> None:
        if self._holder is None:
            raise NotDriverError("no lock")
        track = self.spec(run_id).track
        self._events[run_id] += events
        for event in events:
            if isinstance(event, SiteRecorded):
                key = (track, event.site)
                self._sites[key] = next_record(self._sites.get(key), event)

    def runs(self) -> tuple[RunInfo, ...]:
        found = []
        for run_id, spec in self._specs.items():
            events = self._events[run_id]
            last = [e for e in events if isinstance(e, RunStarted | RunResumed | RunEnded)][-1]
            end = (last.state, last.reason) if isinstance(last, RunEnded) else (RunState.RUNNING, "")
            found.append(RunInfo(run_id, spec.track, spec.digest, events[0].at, *end))
        return tuple(found)

    def spec(self, run_id) -> RolloutSpec:
        if run_id not in self._specs:
            raise UnknownRunError(run_id)
        return self._specs[run_id]

    def events(self, run_id) -> Iterator[Event]:
        self.spec(run_id)
        return iter(tuple(self._events[run_id]))

    def site_records(self, track):
        return {site: record for (of, site), record in self._sites.items() if of == track}

    def request(self, run_id, kind, actor, reason) -> Intent:
        self.spec(run_id)
        self._intents.append(Intent(len(self._intents) + 1, run_id, kind, actor, reason, 160.0))
        return self._intents[-1]

    def intents(self, run_id, after) -> tuple[Intent, ...]:
        return tuple(i for i in self._intents if i.run_id == run_id and i.number > after)

    def verify(self) -> None:
        return None

    def close(self) -> None:
        return None


@pytest.fixture(params=["sqlite", "memory"])
def journal(request, tmp_path) -> Iterator[Journal]:
    made: Journal = (
        MemoryJournal()
        if request.param == "memory"
        else SqliteJournal(tmp_path / "rollout.db", clock=FixedClock())
    )
    yield made
    made.close()


@pytest.fixture
def file(tmp_path) -> Path:
    """A journal file with a run in it."""
    path = tmp_path / "rollout.db"
    with SqliteJournal(path, clock=FixedClock()) as made, made.driver_lock():
        made.create_run("one", SPEC, [START, StepStarted(101.0, "lyon", "infra", 1)])
        made.append(
            "one", [StepFinished(102.0, "lyon", "infra", True), SiteRecorded(103.0, "lyon", "d1", True)]
        )
        made.append("one", [RunEnded(104.0, RunState.PAUSED, "lunch")])
    return path


# The contract


def test_a_run_is_read_back_as_written(journal: Journal) -> None:
    events = [
        StepStarted(101.0, "lyon", "infra", 1),
        StepFinished(102.0, "lyon", "infra", True, detail={"ü": 1}),
    ]
    with journal.driver_lock():
        journal.create_run("one", SPEC, [START])
        journal.append("one", events)
    assert list(journal.events("one")) == [START, *events]
    assert journal.spec("one") == SPEC
    journal.verify()


def test_runs_are_listed_oldest_first_with_their_last_state(journal: Journal) -> None:
    with journal.driver_lock():
        journal.create_run("z", SPEC, [START])
        journal.append("z", [RunEnded(101.0, RunState.PAUSED, "lunch")])
        journal.create_run("a", SPEC, [START])
    assert [(run.run_id, run.state, run.reason) for run in journal.runs()] == [
        ("z", RunState.PAUSED, "lunch"),
        ("a", RunState.RUNNING, ""),
    ]
    with journal.driver_lock():
        journal.append("z", [RunResumed(102.0)])
    assert journal.runs()[0].state is RunState.RUNNING


def test_last_known_good_outlives_a_failed_change(journal: Journal) -> None:
    with journal.driver_lock():
        journal.create_run("one", SPEC, [START, SiteRecorded(1.0, "lyon", "d1", True)])
        journal.append("one", [SiteRecorded(2.0, "lyon", None, False)])
    known = journal.site_records("platform")
    assert known == {"lyon": SiteRecord("lyon", None, False, good_digest="d1", good_at=1.0)}
    with journal.driver_lock():
        journal.append("one", [SiteRecorded(3.0, "lyon", "d2", False)])
        assert journal.site_records("platform")["lyon"].good_digest == "d1"
        journal.append("one", [SiteRecorded(4.0, "lyon", "d2", True)])
    assert journal.site_records("platform")["lyon"] == SiteRecord("lyon", "d2", True, "d2", 4.0)
    assert journal.site_records("agents") == {}
    journal.verify()


def test_events_are_written_under_the_lock_only(journal: Journal) -> None:
    with pytest.raises(NotDriverError):
        journal.create_run("one", SPEC, [START])
    with journal.driver_lock():
        journal.create_run("one", SPEC, [START])
    with pytest.raises(NotDriverError):
        journal.append("one", [RunResumed(1.0)])
    assert list(journal.events("one")) == [START]


def test_anybody_may_ask_and_numbers_ascend(journal: Journal) -> None:
    with journal.driver_lock():
        journal.create_run("one", SPEC, [START])
        journal.create_run("two", SPEC, [START])
    first = journal.request("one", IntentKind.PAUSE, "eve", "lunch")
    other = journal.request("two", IntentKind.PAUSE, "eve", "")
    last = journal.request("one", IntentKind.ABORT, "eve", "fire")
    assert first.number < other.number < last.number
    assert journal.intents("one", 0) == (first, last)
    assert journal.intents("one", first.number) == (last,)


def test_a_second_driver_is_refused_with_the_first_ones_name(journal: Journal) -> None:
    assert journal.driver() is None
    with journal.driver_lock() as holder:
        assert journal.driver() == holder
        with pytest.raises(DriverLockedError) as refused, journal.driver_lock():
            pass
        assert refused.value.holder == holder
        assert refused.value.age_seconds == 0.0
    assert journal.driver() is None
    with journal.driver_lock():
        pass


@pytest.mark.parametrize(
    "call",
    [
        lambda j: j.spec("no"),
        lambda j: j.events("no"),
        lambda j: j.append("no", [RunResumed(1.0)]),
        lambda j: j.request("no", IntentKind.PAUSE, "eve", ""),
    ],
)
def test_an_unknown_run_is_said_so(journal: Journal, call) -> None:
    with journal.driver_lock(), pytest.raises(UnknownRunError):
        call(journal)


def test_a_run_is_created_once(journal: Journal) -> None:
    with journal.driver_lock():
        journal.create_run("one", SPEC, [START])
        with pytest.raises(JournalError):
            journal.create_run("one", SPEC, [START])
    assert list(journal.events("one")) == [START]


# The file


def test_what_cannot_be_written_is_not_half_written(file: Path) -> None:
    with SqliteJournal(file) as journal, journal.driver_lock():
        before = list(journal.events("one"))
        with pytest.raises(ValueError):
            journal.append(
                "one", [RunResumed(1.0), StepFinished(1.0, "lyon", "infra", True, detail={"x": float("nan")})]
            )
        assert list(journal.events("one")) == before
        journal.append("one", [RunResumed(1.0)])
        journal.verify()


def test_events_cannot_be_changed_by_mistake(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        for change in ("UPDATE event SET data = '{}'", "DELETE FROM event"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(change)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE event SET data = replace(data, 'true', 'false') WHERE kind = 'step_finished'",
        "UPDATE event SET run_id = 'two' WHERE seq = 2",
        "UPDATE event SET kind = 'site_stuck' WHERE seq = 2",
        "UPDATE event SET hash = prev WHERE seq = 3",
        "DELETE FROM event WHERE seq = 2",
        "DELETE FROM event WHERE seq = (SELECT MAX(seq) FROM event)",
        "DELETE FROM event",
        "UPDATE event SET seq = seq + 10 WHERE seq = 5",
        "UPDATE snapshot SET spec = replace(spec, 'lyon', 'nice')",
        "UPDATE snapshot SET spec = '{}'",
        "UPDATE snapshot SET spec = 'junk'",
        "DELETE FROM snapshot",
        "UPDATE run SET plan_digest = 'sha256:0'",
        "UPDATE run SET track = 'agents'",
        "UPDATE site SET digest = 'd9'",
        "UPDATE site SET healthy = 0",
        "DELETE FROM site",
        "INSERT INTO site VALUES ('platform', 'nice', 'd1', 1, 'd1', 1.0)",
        "DELETE FROM head",
        "UPDATE head SET seq = 1",
    ],
)
def test_tampering_is_found(file: Path, change: str) -> None:
    with SqliteJournal(file) as journal:
        journal.verify()
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("DROP TRIGGER event_keep")
        db.execute("DROP TRIGGER event_fixed")
        assert db.execute(change).rowcount >= 1
    with SqliteJournal(file) as journal, pytest.raises(JournalIntegrityError, match=r"rollout\.db"):
        journal.verify()


def ruin_not_sqlite(path: Path) -> None:
    path.write_text("apiVersion: fleet/v1\n")


def ruin_empty(path: Path) -> None:
    path.write_bytes(b"")


def ruin_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def ruin_header_only(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def ruin_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    path.write_bytes(content)


def ruin_other_application(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mine (x)")


@pytest.mark.parametrize(
    "ruin",
    [ruin_not_sqlite, ruin_empty, ruin_truncated, ruin_header_only, ruin_page, ruin_other_application],
)
def test_a_file_that_is_no_whole_journal_is_refused_and_left_alone(file: Path, ruin) -> None:
    ruin(file)
    before = file.read_bytes()
    with pytest.raises(JournalUnreadableError, match=r"rollout\.db"):
        SqliteJournal(file)
    assert file.read_bytes() == before


def test_a_newer_journal_is_refused_and_left_alone(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = file.read_bytes()
    with pytest.raises(JournalVersionError, match="newer fleet"):
        SqliteJournal(file)
    assert file.read_bytes() == before


def test_a_missing_journal_is_made_only_if_asked(tmp_path: Path) -> None:
    with pytest.raises(JournalMissingError):
        SqliteJournal(tmp_path / "rollout.db", create=False)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(JournalError, match="no-such"):
        SqliteJournal(tmp_path / "no-such" / "rollout.db")
    with pytest.raises(JournalError):
        SqliteJournal(tmp_path)


DRIVER = """
import sys
from pathlib import Path
from fleet.adapters.sqlite_journal import SqliteJournal
with SqliteJournal(Path(sys.argv[1])) as journal, journal.driver_lock():
    print("driving", flush=True)
    sys.stdin.read()
"""


def test_the_lock_holds_between_processes_and_dies_with_its_holder(file: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "driving\n"
        with SqliteJournal(file) as journal:
            holder = journal.driver()
            assert holder is not None
            assert holder.pid == other.pid
            with (
                pytest.raises(DriverLockedError, match=f"process {other.pid} on .* for \\d+ s"),
                journal.driver_lock(),
            ):
                pass
            journal.request("one", IntentKind.PAUSE, "eve", "intents need no lock")
            other.kill()
            other.wait()
            assert journal.driver() is None
            with journal.driver_lock():
                journal.append("one", [RunResumed(1.0)])


def test_the_lock_is_free_again_though_forked_workers_live_on(file: Path) -> None:
    with SqliteJournal(file) as journal:
        with journal.driver_lock():
            worker = multiprocessing.get_context("fork").Process(target=signal.pause)
            worker.start()
        try:
            with journal.driver_lock():
                pass
        finally:
            worker.kill()
            worker.join()
