"""The rollout journal in one SQLite file, and the lock that keeps drivers to one.

WAL with synchronous=FULL: a committed event survives a power cut (NORMAL was not measurably
faster, rollout reference §B2). Rows of `event` are append-only and hash chained, which finds
edits, losses and bit rot; it does not stop somebody who rewrites the whole chain, for that the
head hash would have to be kept elsewhere too.

The driver lock stands beside it, as `<journal>.lock` (driver_lock.py).
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from fleet.adapters.clock import SystemClock
from fleet.adapters.driver_lock import DriverLock
from fleet.ports.rollout import (
    Clock,
    Holder,
    Intent,
    JournalError,
    JournalIntegrityError,
    JournalMissingError,
    JournalUnreadableError,
    JournalVersionError,
    NotDriverError,
    RunInfo,
    UnknownRunError,
)
from fleet.rollout.chain import GENESIS, chain_hash, fold_chain, next_record
from fleet.rollout.events import (
    Event,
    IntentKind,
    RunEnded,
    RunState,
    SiteRecorded,
    decode_event,
    encode_event,
)
from fleet.rollout.spec import (
    RolloutSpec,
    SiteRecord,
    SpecError,
    canonical_json,
    spec_from_json,
    spec_to_json,
)

SCHEMA_VERSION = 1
APPLICATION_ID = 0x464C4A31  # "FLJ1", so that a database of something else is told apart
BUSY_TIMEOUT_MS = 10_000

_SCHEMA = """
CREATE TABLE run (
    id TEXT PRIMARY KEY, track TEXT NOT NULL, plan_digest TEXT NOT NULL, started REAL NOT NULL,
    number INTEGER NOT NULL UNIQUE
) STRICT;
CREATE TABLE snapshot (run_id TEXT PRIMARY KEY REFERENCES run (id), spec TEXT NOT NULL) STRICT;
CREATE TABLE event (
    seq INTEGER PRIMARY KEY, run_id TEXT NOT NULL REFERENCES run (id), kind TEXT NOT NULL,
    data TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE INDEX event_by_run ON event (run_id, seq);
CREATE INDEX event_of_run ON event (run_id, seq)
    WHERE kind IN ('run_started', 'run_resumed', 'run_ended');
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;
CREATE TABLE site (
    track TEXT NOT NULL, site TEXT NOT NULL, digest TEXT, healthy INTEGER NOT NULL,
    good_digest TEXT, good_at REAL, PRIMARY KEY (track, site)
) STRICT;
CREATE TABLE intent (
    number INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL REFERENCES run (id),
    kind TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL
) STRICT;
CREATE TRIGGER event_keep BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER event_fixed BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""


class SqliteJournal:
    """A `Journal` in the file `path`, used by one thread; close it, or use it as a context manager.

    With `create` a missing file is made, in one step, so that a half-made journal is never seen.
    Raises JournalMissingError, JournalUnreadableError (not SQLite, another application's, empty,
    truncated, damaged) or JournalVersionError (of a newer fleet); such a file is left as it is.
    """

    def __init__(self, path: Path, *, create: bool = True, clock: Clock | None = None) -> None:
        self.path = path
        self._clock = clock or SystemClock()
        self._lock = DriverLock(path.with_name(path.name + ".lock"), self._clock)
        self._driving = False
        if not path.exists():
            if not create:
                raise JournalMissingError(f"there is no rollout journal at {path}")
            _create(path)
        _check(path)
        with _typed(path):
            self._db = _connect(path, "rw")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")

    def __enter__(self) -> "SqliteJournal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the database."""
        self._db.close()

    # The driver lock

    @contextmanager
    def driver_lock(self) -> Iterator[Holder]:
        """Hold the lock until the block ends or the process and its forked workers died."""
        with self._lock.hold() as holder:
            self._driving = True
            try:
                yield holder
            finally:
                self._driving = False

    def driver(self) -> Holder | None:
        """Who holds the lock; a holder with pid 0 is one that has not written its name yet."""
        return self._lock.holder()

    # Writing

    def create_run(self, run_id: str, spec: RolloutSpec, events: Sequence[Event]) -> None:
        """See `Journal.create_run`."""
        with self._write(events_too=True):
            if self._db.execute("SELECT 1 FROM run WHERE id = ?", (run_id,)).fetchone():
                raise JournalError(f"run {run_id} exists already in {self.path}")
            self._db.execute(
                "INSERT INTO run SELECT ?, ?, ?, ?, 1 + COALESCE(MAX(number), 0) FROM run",
                (run_id, spec.track, spec.digest, events[0].at),
            )
            self._db.execute(
                "INSERT INTO snapshot VALUES (?, ?)", (run_id, canonical_json(spec_to_json(spec)))
            )
            self._append(run_id, spec.track, events)

    def append(self, run_id: str, events: Sequence[Event]) -> None:
        """See `Journal.append`."""
        with self._write(events_too=True):
            self._append(run_id, self._run(run_id)[0], events)

    def request(self, run_id: str, kind: IntentKind, actor: str, reason: str) -> Intent:
        """See `Journal.request`."""
        at = self._clock.now()
        with self._write():
            self._run(run_id)
            row = self._db.execute(
                "INSERT INTO intent (run_id, kind, actor, reason, at) VALUES (?, ?, ?, ?, ?)",
                (run_id, kind, actor, reason, at),
            )
        return Intent(row.lastrowid or 0, run_id, kind, actor, reason, at)

    def _append(self, run_id: str, track: str, events: Sequence[Event]) -> None:
        seq, prev = self._db.execute("SELECT seq, hash FROM head").fetchone()
        rows = []
        for event in events:
            kind, fields = encode_event(event)
            data = canonical_json(fields)
            seq += 1
            digest = chain_hash(seq, run_id, kind, data, prev)
            rows.append((seq, run_id, kind, data, prev, digest))
            prev = digest
        self._db.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._db.execute("UPDATE head SET seq = ?, hash = ?", (seq, prev))
        for event in events:
            if isinstance(event, SiteRecorded):
                query = "SELECT * FROM site WHERE track = ? AND site = ?"
                row = self._db.execute(query, (track, event.site)).fetchone()
                now = next_record(_record(row[1:]) if row else None, event)
                values = (track, now.site, now.digest, int(now.healthy), now.good_digest, now.good_at)
                self._db.execute("INSERT OR REPLACE INTO site VALUES (?, ?, ?, ?, ?, ?)", values)

    @contextmanager
    def _write(self, *, events_too: bool = False) -> Iterator[None]:
        if events_too and not self._driving:
            raise NotDriverError(f"events are written to {self.path} under its driver lock only")
        with _typed(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a failed COMMIT may have rolled back by itself
                    self._db.execute("ROLLBACK")
                raise

    # Reading

    def _run(self, run_id: str) -> tuple[str, str]:
        row = self._db.execute("SELECT track, plan_digest FROM run WHERE id = ?", (run_id,)).fetchone()
        if row is None:
            raise UnknownRunError(f"{self.path} holds no run {run_id}")
        return row[0], row[1]

    def runs(self) -> tuple[RunInfo, ...]:
        """See `Journal.runs`."""
        query = (
            "SELECT run.id, track, plan_digest, started, kind, data FROM run JOIN event ON event.seq ="
            " (SELECT MAX(seq) FROM event WHERE run_id = run.id"
            "  AND kind IN ('run_started', 'run_resumed', 'run_ended')) ORDER BY number"
        )
        with _typed(self.path):
            rows = self._db.execute(query).fetchall()
            found = []
            for run_id, track, digest, started, kind, data in rows:
                last = _decode(self.path, kind, data)
                ended = last if isinstance(last, RunEnded) else None
                state, reason = (ended.state, ended.reason) if ended else (RunState.RUNNING, "")
                found.append(RunInfo(run_id, track, digest, started, state, reason))
        return tuple(found)

    def spec(self, run_id: str) -> RolloutSpec:
        """See `Journal.spec`; raises JournalIntegrityError if the snapshot is not the plan that started."""
        with _typed(self.path):
            _, digest = self._run(run_id)
            row = self._db.execute("SELECT spec FROM snapshot WHERE run_id = ?", (run_id,)).fetchone()
        return _read_spec(self.path, run_id, row[0] if row else "", digest)

    def events(self, run_id: str) -> Iterator[Event]:
        """See `Journal.events`."""
        with _typed(self.path):
            self._run(run_id)
            query = "SELECT kind, data FROM event WHERE run_id = ? ORDER BY seq"
            rows = self._db.execute(query, (run_id,)).fetchall()
        return (_decode(self.path, kind, data) for kind, data in rows)

    def site_records(self, track: str) -> Mapping[str, SiteRecord]:
        """See `Journal.site_records`."""
        query = "SELECT site, digest, healthy, good_digest, good_at FROM site WHERE track = ?"
        with _typed(self.path):
            rows = self._db.execute(query, (track,)).fetchall()
        return {row[0]: _record(row) for row in rows}

    def intents(self, run_id: str, after: int) -> tuple[Intent, ...]:
        """See `Journal.intents`."""
        query = "SELECT * FROM intent WHERE run_id = ? AND number > ? ORDER BY number"
        with _typed(self.path):
            rows = self._db.execute(query, (run_id, after)).fetchall()
        return tuple(Intent(r[0], r[1], IntentKind(r[2]), r[3], r[4], r[5]) for r in rows)

    def verify(self) -> None:
        """Check the chain, its head, the snapshots and the site records against the events.

        Raises JournalIntegrityError. Intents are covered once the driver has taken them.
        """
        with _typed(self.path):
            self._db.execute("BEGIN")  # one snapshot, whatever a driver writes meanwhile
            try:
                self._verify()
            finally:
                self._db.execute("ROLLBACK")

    def _verify(self) -> None:
        tracks: dict[str, str] = {}
        for run_id, track, digest, spec in self._db.execute(
            "SELECT id, track, plan_digest, spec FROM run LEFT JOIN snapshot ON run_id = id"
        ):
            stored = _read_spec(self.path, run_id, spec or "", digest)
            if stored.track != track:
                raise JournalIntegrityError(f"{self.path}: run {run_id} was altered")
            tracks[run_id] = track
        plans = dict(self._db.execute("SELECT id, plan_digest FROM run").fetchall())
        kept = {(row[0], row[1]): _record(row[1:]) for row in self._db.execute("SELECT * FROM site")}
        rows = self._db.execute("SELECT seq, run_id, kind, data, prev, hash FROM event ORDER BY seq")
        try:
            folded = fold_chain(rows, tracks)
        except ValueError as error:
            raise JournalIntegrityError(f"{self.path}: {error}") from error
        if self._db.execute("SELECT seq, hash FROM head").fetchone() != (folded.seq, folded.hash):
            raise JournalIntegrityError(f"{self.path}: events are missing after number {folded.seq}")
        if plans != folded.plans:
            raise JournalIntegrityError(f"{self.path}: a run or its plan was altered")
        if kept != folded.sites:
            names = sorted({site for _, site in {key for key, _ in kept.items() ^ folded.sites.items()}})
            raise JournalIntegrityError(f"{self.path}: what is known of {', '.join(names[:5])} was altered")


def _record(row: Sequence[Any]) -> SiteRecord:
    return SiteRecord(row[0], row[1], bool(row[2]), row[3], row[4])


def _decode(path: Path, kind: str, data: str) -> Event:
    try:
        return decode_event(kind, json.loads(data))
    except ValueError as error:
        raise JournalIntegrityError(f"{path}: {error}") from error


def _read_spec(path: Path, run_id: str, text: str, digest: str) -> RolloutSpec:
    try:
        spec = spec_from_json(json.loads(text))
    except (ValueError, SpecError) as error:
        raise JournalIntegrityError(f"{path}: the plan of run {run_id} is unreadable: {error}") from error
    if spec.digest != digest:
        raise JournalIntegrityError(f"{path}: the plan of run {run_id} was altered")
    return spec


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)
    db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    return db


def _create(path: Path) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    with _typed(path):
        fresh.unlink(missing_ok=True)
        db = _connect(fresh, "rwc")
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.executescript(_SCHEMA)
            db.execute("INSERT INTO head VALUES (1, 0, ?)", (GENESIS,))
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        finally:
            db.close()
        try:
            with suppress(FileExistsError):  # another process made it first: theirs is as good
                os.link(fresh, path)
                _sync_folder(path.parent)
        finally:
            fresh.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, as the events behind it will."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _check(path: Path) -> None:
    """Look without writing: is this a whole journal that this version can read?"""
    with _typed(path):
        with path.open("rb") as file:
            magic = file.read(16)
        if magic != b"SQLite format 3\0":
            what = "is empty" if not magic else "is not a SQLite database"
            raise JournalUnreadableError(f"{path} {what}, so it is no rollout journal; it was left as it is")
        db = _connect(path, "ro")
        try:
            application = _pragma(db, "application_id")
            version = _pragma(db, "user_version")
            if application != APPLICATION_ID:
                raise JournalUnreadableError(f"{path} is a database of something else; it was left as it is")
            if version > SCHEMA_VERSION:
                raise JournalVersionError(
                    f"{path} has journal format {version}, this fleet reads up to {SCHEMA_VERSION}:"
                    " use the newer fleet that wrote it"
                )
            if (found := _pragma(db, "quick_check(1)")) != "ok":
                raise JournalUnreadableError(f"{path} is damaged ({found}); it was left as it is")
        finally:
            db.close()


def _pragma(db: sqlite3.Connection, name: str) -> Any:
    return db.execute(f"PRAGMA {name}").fetchone()[0]


@contextmanager
def _typed(path: Path) -> Iterator[None]:
    """Turn failures of the database and the file system into JournalErrors that name the file."""
    try:
        yield
    except (sqlite3.NotSupportedError, sqlite3.OperationalError) as error:
        raise JournalError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise JournalUnreadableError(f"{path} is damaged ({error})") from error
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror or error}") from error
