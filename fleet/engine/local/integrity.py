"""What a state must be like for a run to start from it: Pulumi's own integrity check.

The rules are those of `Snapshot.VerifyIntegrity` (pkg/resource/deploy/snapshot.go of pulumi/pulumi).
"""

from collections.abc import Iterator, Sequence

from fleet.engine.local.checkpoint import ResourceState


def flaw(resources: Sequence[ResourceState]) -> str | None:
    """What is wrong with the resources of a state, as a phrase with the URNs; None when nothing is.

    Each resource is there once (but for those about to be deleted), and what it references stands before it.
    """
    later = {state.urn for state in resources}
    providers: set[str] = set()
    seen: set[str] = set()
    for state in resources:
        if len(state.urn.split("::")) < 4 or not state.urn.startswith("urn:pulumi:"):
            return f"{state.urn!r} is not a URN"
        if state.urn in seen and not state.delete:
            return f"it has {state.urn} twice"
        for role, urn in _references(state):
            if urn not in seen:
                where = "stands after it" if urn in later else "is missing"
                return f"the {role} of {state.urn}, {urn}, {where}"
        if state.provider and state.provider not in providers:
            return f"the provider of {state.urn}, {state.provider}, is missing"
        if state.is_provider:
            providers.add(f"{state.urn}::{state.id}")
        seen.add(state.urn)
    return None


def _references(state: ResourceState) -> Iterator[tuple[str, str]]:
    if state.parent:
        yield "parent", state.parent
    for urn in state.dependencies:
        yield "dependency", urn
    for key, urns in sorted(state.property_dependencies.items()):
        for urn in urns:
            yield f"dependency (of {key})", urn
    if state.deleted_with:
        yield "deletedWith", state.deleted_with
