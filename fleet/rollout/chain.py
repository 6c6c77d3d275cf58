"""How the journal proves itself: a hash chain over its rows, and site records as a fold over events."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fleet.rollout.events import SiteRecorded, decode_event
from fleet.rollout.spec import SiteRecord, canonical_json

GENESIS = "0" * 64
"""What stands for the hash before the first row."""

Row = tuple[int, str, str, str, str, str]
"""A journal row: number from 1, run id, kind, data as JSON, hash of the row before, its own hash."""


class ChainError(ValueError):
    """A row is not what was written, or one is gone."""


@dataclass(slots=True)
class Folded:
    """What whole rows say: the head, each run's plan digest, each site's record by track and name."""

    seq: int = 0
    hash: str = GENESIS
    plans: dict[str, str] = field(default_factory=dict)
    sites: dict[tuple[str, str], SiteRecord] = field(default_factory=dict)


def chain_hash(seq: int, run_id: str, kind: str, data: str, prev: str) -> str:
    """Hash (sha256, hex) of row `seq`, which follows the row whose hash is `prev`."""
    return hashlib.sha256(canonical_json([seq, run_id, kind, data, prev]).encode()).hexdigest()


def next_record(old: SiteRecord | None, event: SiteRecorded) -> SiteRecord:
    """What is known of the site after `event`; last known good moves only to a healthy digest."""
    good_digest, good_at = (old.good_digest, old.good_at) if old else (None, None)
    if event.healthy and event.digest is not None:
        good_digest, good_at = event.digest, event.at
    return SiteRecord(event.site, event.digest, event.healthy, good_digest, good_at)


def fold_chain(rows: Iterable[Row], tracks: Mapping[str, str]) -> Folded:
    """Check every row against the one before it; `tracks` has the track of each run.

    Raises ChainError at the first row that was altered, reordered, or that follows a lost one.
    """
    folded = Folded()
    for seq, run_id, kind, data, prev, own in rows:
        whole = prev == folded.hash and own == chain_hash(seq, run_id, kind, data, prev)
        if seq != folded.seq + 1 or not whole or run_id not in tracks:
            raise ChainError(f"event {seq} was altered, or one before it is gone")
        folded.seq, folded.hash = seq, own
        if kind == "run_started":
            folded.plans[run_id] = json.loads(data)["plan_digest"]
        elif kind == "site_recorded":
            event = decode_event(kind, json.loads(data))
            assert isinstance(event, SiteRecorded)
            key = (tracks[run_id], event.site)
            folded.sites[key] = next_record(folded.sites.get(key), event)
    return folded
