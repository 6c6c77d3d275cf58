"""Rules about what a site's users will ask of it, and what was promised to them."""

from collections.abc import Iterator

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule


def _peak(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    if spec.capacity is None or not spec.inference:
        return
    peak, headroom = spec.capacity.peak_sessions, spec.capacity.headroom_percent
    promised = sum(d.slo.concurrent_sessions for d in spec.inference.values() if d.modality == "chat")
    if promised * 100 < peak * (100 + headroom):
        yield Finding(
            ("capacity", "peakSessions"),
            f"a peak of {peak} sessions with {headroom} % of headroom; the deployments promise {promised}",
            "more 'concurrentSessions' where they fit, or fewer sessions at the peak",
        )


def _recovery(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, deployment in site.spec.inference.items():
        slo = deployment.slo
        if slo.recovery_sessions is not None and slo.recovery_sessions < slo.concurrent_sessions:
            yield Finding(
                ("inference", name, "slo", "recoverySessions"),
                f"{slo.recovery_sessions} sessions come back after an outage; "
                f"{slo.concurrent_sessions} were there",
                f"at least 'recoverySessions: {slo.concurrent_sessions}'",
            )


def _recovery_is_queued(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, deployment in site.spec.inference.items():
        gateway, back = deployment.gateway, deployment.slo.recovery_sessions
        admitted = gateway.max_concurrency + gateway.queue_length
        if back is not None and back > admitted:
            yield Finding(
                ("inference", name, "slo", "recoverySessions"),
                f"{back} sessions come back to {name} at once; its gateway refuses more than {admitted}",
                f"'gateway: {{queueLength: {back - gateway.max_concurrency}}}'",
            )


def _sandbox_slots(site: Site, _: Inventory) -> Iterator[Finding]:
    """A session takes an inference slot, a sandbox slot and state (requirement O3)."""
    spec = site.spec
    if spec.capacity is None:
        return
    used = {tool.sandbox for tool in spec.tools.values() if tool.sandbox is not None}
    for name in sorted(used & spec.sandboxes.keys()):
        slots = spec.sandboxes[name].slots
        if slots < spec.capacity.peak_sessions:
            yield Finding(
                ("sandboxes", name, "slots"),
                f"{name!r} has {slots} slots for {spec.capacity.peak_sessions} sessions at the peak",
                f"'slots: {spec.capacity.peak_sessions}'",
            )


RULES = (
    Rule(
        code="CAP001",
        summary="the deployments' promises cover the peak and its headroom",
        source="requirements O2, O3, O8",
        severity="warning",
        check_site=_peak,
    ),
    Rule(
        code="CAP002",
        summary="as many sessions come back after an outage as were there",
        source="requirements O2, M12",
        severity="warning",
        check_site=_recovery,
    ),
    Rule(
        code="CAP003",
        summary="a gateway queues the sessions that come back after an outage",
        source="requirements O2, M7, M12",
        severity="warning",
        check_site=_recovery_is_queued,
    ),
    Rule(
        code="CAP004",
        summary="there are sandboxes for the sessions of the peak",
        source="requirements O3, F8",
        severity="warning",
        check_site=_sandbox_slots,
    ),
)
