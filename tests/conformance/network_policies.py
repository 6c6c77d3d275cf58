"""What NetworkPolicies mean: whether one place may open a connection to another.

The semantics of networking.k8s.io/v1 (kubernetes.io/docs/concepts/services-networking/network-policies). A policy
isolates the pods that it selects, in the directions of its `policyTypes`; an isolated pod may do what any of those
policies allows. A connection needs the egress of its source and the ingress of its target. Answers need no rule.

Chosen where Kubernetes leaves it open: an `ipBlock` holds for the address of a pod too, as Calico takes it (AKS on
Azure Local has Calico, facts 1.9). Not here: what a node says to its own pods, such as probes, which is always allowed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Literal

Policy = Mapping[str, Any]
Labels = Mapping[str, str]
Direction = Literal["Ingress", "Egress"]
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
"""Every namespace has it, with its name."""


@dataclass(frozen=True)
class Place:
    """An end of a connection: a pod, or, without a namespace, an address outside of the cluster."""

    name: str
    address: str
    namespace: str | None = None
    labels: Labels = field(default_factory=dict)
    namespace_labels: Labels = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    """Named container ports."""


def allowed(
    policies: Sequence[Policy], source: Place, target: Place, port: int, protocol: str = "TCP"
) -> bool:
    """Whether `source` may connect to `port` of `target` (the container's, not the Service's)."""
    return _may(policies, "Egress", source, target, target, port, protocol) and _may(
        policies, "Ingress", target, source, target, port, protocol
    )


def _may(
    policies: Sequence[Policy],
    direction: Direction,
    subject: Place,
    peer: Place,
    target: Place,
    port: int,
    protocol: str,
) -> bool:
    isolating = [policy for policy in policies if _isolates(policy, direction, subject)]
    return not isolating or any(
        _matches_port(rule, target, port, protocol) and _matches_peer(rule, direction, policy, peer)
        for policy in isolating
        for rule in policy["spec"].get(direction.lower()) or ()
    )


def _isolates(policy: Policy, direction: Direction, pod: Place) -> bool:
    spec = policy["spec"]
    # Without policyTypes: ingress always, and egress when there are rules for it.
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return (
        pod.namespace is not None
        and pod.namespace == policy["metadata"].get("namespace", "default")
        and direction in types
        and selects(spec.get("podSelector") or {}, pod.labels)
    )


def _matches_peer(rule: Mapping[str, Any], direction: Direction, policy: Policy, peer: Place) -> bool:
    peers = rule.get("from" if direction == "Ingress" else "to")
    return not peers or any(_is_peer(each, policy, peer) for each in peers)


def _is_peer(peer: Mapping[str, Any], policy: Policy, place: Place) -> bool:
    if "ipBlock" in peer:
        block, address = peer["ipBlock"], ip_address(place.address)
        inside = address in ip_network(block["cidr"])
        return inside and not any(address in ip_network(each) for each in block.get("except", ()))
    if place.namespace is None:
        return False
    if "namespaceSelector" in peer:
        labels = {NAMESPACE_LABEL: place.namespace, **place.namespace_labels}
        if not selects(peer["namespaceSelector"], labels):
            return False
    elif place.namespace != policy["metadata"].get("namespace", "default"):
        return False
    return selects(peer.get("podSelector") or {}, place.labels)


def _matches_port(rule: Mapping[str, Any], target: Place, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    return not ports or any(
        each.get("protocol", "TCP") == protocol and _is_port(each, target, port) for each in ports
    )


def _is_port(each: Mapping[str, Any], target: Place, port: int) -> bool:
    wanted = each.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return target.ports.get(wanted) == port
    return bool(wanted <= port <= each.get("endPort", wanted))


def selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a label selector selects; the empty one selects all. Raises ValueError for an unknown operator."""
    plain = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return plain and all(_holds(labels, selector))


def _holds(labels: Labels, selector: Mapping[str, Any]) -> Iterator[bool]:
    for each in selector.get("matchExpressions") or ():
        there, values = labels.get(each["key"]), each.get("values", ())
        match each["operator"]:
            case "In":
                yield there in values
            case "NotIn":  # also where the label is not there
                yield there not in values
            case "Exists":
                yield there is not None
            case "DoesNotExist":
                yield there is None
            case other:
                raise ValueError(f"no operator of a label selector: {other}")
