"""Rules about what proves that an update works."""

from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.source import Path
from fleet.model.operations import Dataset

from .images import PINNED


def _gates(site: Site, _: Inventory) -> Iterator[Finding]:
    evaluation = site.spec.evaluation
    if evaluation is None or site.spec.environment != "prod":
        return
    gates, figures = evaluation.gates.model_dump(by_alias=True), catalog.operating().gates
    promises = _chat_promises(site)
    for key, figure in figures.items():
        given = gates[key]
        if key == "maxP95Ms" and promises:
            continue  # users were told of a figure of the site's own: EVA006 holds the gate to that
        if given < figure if key.startswith("min") else given > figure:
            yield Finding(
                ("evaluation", "gates", key),
                f"{key} is {given:g}, looser than production's {figure:g}",
                f"'{key}: {figure:g}'",
            )


def _datasets(site: Site) -> Iterator[tuple[Path, Dataset]]:
    evaluation = site.spec.evaluation
    if evaluation is not None:
        yield ("evaluation", "golden"), evaluation.golden
        if evaluation.red_team is not None:
            yield ("evaluation", "redTeam"), evaluation.red_team


def _pinned(site: Site, _: Inventory) -> Iterator[Finding]:
    for path, dataset in _datasets(site):
        if not PINNED.fullmatch(dataset.artifact):
            yield Finding(
                (*path, "artifact"),
                f"the dataset {dataset.artifact!r} is not pinned, so two results can't be compared",
                "write host/name@sha256:… with its digest",
            )


def _enough_rows(site: Site, _: Inventory) -> Iterator[Finding]:
    evaluation, least = site.spec.evaluation, catalog.operating().golden_rows_min
    if evaluation is not None and evaluation.golden.rows < least:
        yield Finding(
            ("evaluation", "golden", "rows"),
            f"{evaluation.golden.rows} golden conversations can't show a gate of a few percent",
            f"{least} or more",
        )


def _attacked(site: Site, _: Inventory) -> Iterator[Finding]:
    evaluation = site.spec.evaluation
    if evaluation is None or evaluation.red_team is not None:
        return
    for name, tool in site.spec.tools.items():
        if tool.runs_code != "none" or tool.authorization.write:
            does = "runs code" if tool.runs_code != "none" else "changes things"
            yield Finding(
                ("evaluation",),
                f"the tool {name!r} {does}, and nobody tries to make an agent misuse it",
                "add 'redTeam: {artifact: …, rows: …, reviewedOn: …}'",
            )
            return


def _load_tested(site: Site, inventory: Inventory) -> Iterator[Finding]:
    evaluation = site.spec.evaluation
    if evaluation is None or evaluation.load_test or site.spec.ring == inventory.rings[-1].name:
        return
    yield Finding(
        ("evaluation", "loadTest"),
        f"the ring {site.spec.ring!r} proves updates to the rings after it without load",
        "'loadTest: true'",
    )


def _gate_keeps_the_promise(site: Site, _: Inventory) -> Iterator[Finding]:
    evaluation = site.spec.evaluation
    if evaluation is None:
        return
    path, gate, promises = ("evaluation", "gates", "maxP95Ms"), evaluation.gates, _chat_promises(site)
    strictest = min(promises.values(), default=0)
    for name, promise in promises.items():
        if gate.max_p95_ms > promise:
            yield Finding(
                path,
                f"an update may take {gate.max_p95_ms} ms; {name!r} promises {promise} ms",
                f"'maxP95Ms: {strictest}' at most",
            )
    # A gate that was written may be stricter than the promise; the one that counts otherwise was not meant.
    if gate.max_p95_ms < strictest and "max_p95_ms" not in gate.model_fields_set:
        yield Finding(
            path,
            f"an update may take {gate.max_p95_ms} ms where nothing else is said; the site's deployments "
            f"promise {strictest} ms or more, so one that keeps every promise is refused",
            f"'maxP95Ms: {strictest}', or less where an update can pass it",
        )


def _chat_promises(site: Site) -> dict[str, int]:
    """By name of the deployment, what users of chat were promised: 95th percentile in ms."""
    return {name: d.slo.p95_ms for name, d in site.spec.inference.items() if d.modality == "chat"}


RULES = (
    Rule(
        code="EVA001",
        summary="production's gates are no looser than the figures for production",
        source="requirement L2",
        severity="warning",
        check_site=_gates,
    ),
    Rule(
        code="EVA002",
        summary="datasets are pinned by digest",
        source="requirements L4, C9",
        check_site=_pinned,
    ),
    Rule(
        code="EVA003",
        summary="a golden set has fifty conversations or more",
        source="judgement: gates are of 2 to 5 % (requirement L2); of fewer than 50 one failure is above 2 %",
        severity="warning",
        check_site=_enough_rows,
    ),
    Rule(
        code="EVA004",
        summary="agents whose tools change things or run code are attacked before each update",
        source="requirements L5, P20",
        severity="warning",
        check_site=_attacked,
    ),
    Rule(
        code="EVA005",
        summary="load is tested before the next ring",
        source="requirements L9, N3",
        severity="warning",
        check_site=_load_tested,
    ),
    Rule(
        code="EVA006",
        summary="the gate for latency is that of the promise",
        source="requirements L2, O1",
        severity="warning",
        check_site=_gate_keeps_the_promise,
    ),
)
