"""What a change of the inventory asks for: each site as two revisions of the inventory declare it.

A plan compares with recorded state, and a pull request has none: without it everything looks new. Here the
same Pulumi program and the same templates run for both revisions, on empty state, and what they declare is
compared. Nothing is reached; what exists in Azure is not looked at.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.app.site import (
    PLANNED,
    PROJECT,
    SiteApplier,
    SiteContent,
    cluster_config,
    planned,
    site_content,
)
from fleet.diagnostics.diagnostic import FleetError
from fleet.inventory.secret_shapes import literal_secrets
from fleet.model.site import SiteSpec
from fleet.plan.comparison import FieldChange, SiteComparison, leaf_changes
from fleet.plan.site_plan import PlannedChange, SitePlan, file_changes, file_digests
from fleet.ports.engine import SECRET, ResourceChange, StackRef, StackResult, StackRun
from fleet.render.artifact import artifact_url

_ANY_DIGEST = "sha256:" + "0" * 64
"""Of the tree, which follows from the spec: where the specs are the same it need not be rendered."""

Pair = tuple[SiteSpec | None, SiteSpec]
"""A site before, if it was there, and after."""


@dataclass(frozen=True)
class Revisions:
    """The parts that read each revision's files. Their engines must have no state: see `declared`."""

    before: SiteApplier
    after: SiteApplier


def differs(revisions: Revisions, pair: Pair) -> bool:
    """Whether anything of the site can differ: its spec, or a file beside the inventory that it names."""
    before, after = pair
    if before is None or before.digest != after.digest:
        return True
    try:
        return _program(revisions.before, before) != _program(revisions.after, after)
    except FleetError:
        return True  # the comparison says why


def _program(applier: SiteApplier, spec: SiteSpec) -> Callable[[], None]:
    return applier.program_of(spec, "deploy", artifact_url(spec), _ANY_DIGEST)


def compare_site(revisions: Revisions, pair: Pair) -> SiteComparison:
    """What the later revision declares at one site that the earlier does not.

    A revision whose program can't run is told in the plan's `error`.
    """
    before, after = pair
    new_content = site_content(after)
    old_content = None if before is None else site_content(before)
    files = file_changes(
        {} if old_content is None else file_digests(old_content.tree), file_digests(new_content.tree)
    )
    fields = () if before is None else tuple(field_changes(before, after))

    def result(
        changes: Iterable[PlannedChange] = (), unchanged: int = 0, error: str | None = None
    ) -> SiteComparison:
        plan = SitePlan(
            after.name, after.ring, after.digest, new_content.artifact.digest, tuple(changes), unchanged,
            files, error=error,
        )  # fmt: skip
        return SiteComparison("new" if before is None else "changed", plan, fields)

    try:
        now = declared(revisions.after, after, new_content)
    except FleetError as failure:
        return result(error=str(failure))
    if before is None or old_content is None:
        return result(planned(change) for change in now.values())
    try:
        then = declared(revisions.before, before, old_content)
    except FleetError as failure:
        return result(error=f"the earlier revision: {failure}")
    changes = list(resource_changes(then, now))
    same = sum(urn in now for urn in then) - sum(change.op == "update" for change in changes)
    return result(changes, same)


def declared(applier: SiteApplier, spec: SiteSpec, content: SiteContent) -> dict[str, ResourceChange]:
    """The resources that a site's program declares, with their inputs, by URN.

    The applier's engine must have no state for the site: then each resource is a creation that names all of
    its inputs. Raises `FleetError` when the program fails.
    """
    program = applier.program_of(spec, "deploy", content.url, content.artifact.digest)
    config = {"phase": "deploy", **cluster_config(spec, PLANNED)}
    run = StackRun(StackRef(PROJECT, spec.name), program, config=config)
    result: StackResult = applier.engine.preview(run)
    if result.error is not None:
        raise FleetError(result.error.code, result.error.message)
    return {change.urn: change for change in result.changes if change.op == "create"}


def resource_changes(
    before: Mapping[str, ResourceChange], after: Mapping[str, ResourceChange]
) -> Iterator[PlannedChange]:
    """Creations, updates (with the properties that differ) and deletions, sorted by URN."""
    for urn in sorted(before.keys() | after.keys()):
        old, new = before.get(urn), after.get(urn)
        if new is None and old is not None:
            yield PlannedChange("delete", old.type, old.name)
        elif old is None and new is not None:
            yield planned(new)
        elif old is not None and new is not None:
            paths = tuple(change.path for change in leaf_changes(_inputs(old), _inputs(new)))
            if paths:
                yield PlannedChange("update", new.type, new.name, paths)


def _inputs(change: ResourceChange) -> dict[str, Any]:
    return {difference.path: difference.after for difference in change.changes}


def field_changes(before: SiteSpec, after: SiteSpec) -> Iterator[FieldChange]:
    """The resolved fields of a site that differ, as the inventory names them.

    What looks like a literal secret is masked: a change may be the one that takes it away.
    """
    for change in leaf_changes(
        before.model_dump(mode="json", by_alias=True, exclude_none=True),
        after.model_dump(mode="json", by_alias=True, exclude_none=True),
    ):
        yield FieldChange(change.path, _masked(change.before), _masked(change.after))


def _masked(value: Any) -> Any:
    return SECRET if any(literal_secrets(value)) else value
