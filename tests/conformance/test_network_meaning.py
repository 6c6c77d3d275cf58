"""Who may talk to whom at a site: what the inventory says, and nothing else.

Expected is worked out from the inventory alone; found, from the rendered NetworkPolicies, for each pair of places and
each port that anything here listens on. Between two places that no policy guards, nothing is asked.
"""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from fleet.model.site import SiteSpec
from fleet.render.section import GUARDED
from fleet.render.tools import tools_of
from fleet.render.tree import render_site
from tests.bench.generate_fleet import generate
from tests.conformance.cluster import Document
from tests.conformance.network_policies import Place, Policy, allowed
from tests.conformance.rendering import rendered
from tests.factory import factory_files, factory_inventory, load

Flow = tuple[str, str, str, int]
"""Source, target, protocol, port."""

INTERNET, METADATA = Place("internet", "203.0.113.10"), Place("instance metadata", "169.254.169.254")
# Pods that this tree does not hold: what else runs in its namespaces, or beside them.
STRANGERS = (
    Place("platform/gateway", "10.244.9.1", "platform", {"app": "gateway", "fleet/role": "ingress"}),
    Place("platform/stranger", "10.244.9.9", "platform", {"app": "stranger"}),
    Place("observability/stranger", "10.244.9.2", "observability", {"app": "stranger"}),
    Place("flux-system/source-controller", "10.244.9.3", "flux-system", {"app": "source-controller"}),
    Place("default/stranger", "10.244.9.4", "default", {"app": "stranger"}),
    Place("agents/stranger", "10.244.9.5", "agents", {"app": "stranger"}),
    Place("tools/stranger", "10.244.9.6", "tools", {"app": "stranger"}),
    Place("kube-system/coredns", "10.244.9.7", "kube-system", {"k8s-app": "kube-dns"}),
    Place("kube-system/other", "10.244.9.8", "kube-system", {"k8s-app": "other"}),
)
DNS = "kube-system/coredns"
API_SERVER = "API server"


def sites() -> dict[str, SiteSpec]:
    """The examples, and the first of them with more of everything."""
    found = {site.name: site.spec for site in factory_inventory().sites}
    return found | {"graz with more": with_more()}


def with_more() -> SiteSpec:
    """graz with a second deployment, a second agent that others call, a second tool and one without destinations."""
    files = factory_files()
    fleet = yaml.safe_load(files["fleet.yaml"])
    defaults = fleet["defaults"]
    # The second falls back to the first, and decides for the third, which nobody else calls.
    chat = defaults["inference"]["chat"]
    defaults["inference"]["second"] = {**chat, "fallback": {"to": "deployment", "deployment": "chat"}}
    defaults["inference"]["third"] = chat
    routes = [{"kind": "complex", "deployment": "third", "timeoutSeconds": 60}]
    defaults["router"] = {"model": "second", "routes": routes}
    defaults["tools"] |= {
        "reports": {
            **defaults["tools"]["work-orders"],
            "allowedDestinations": [{"cidr": "10.30.9.0/28", "port": 5432}],
            "fallback": "work-orders",
        },
        "idle": {**defaults["tools"]["work-orders"], "allowedDestinations": []},
    }
    defaults["agents"]["planner"] = {
        **defaults["agents"]["maf-agent-api"],
        "inference": "second",
        "tools": ["reports", "idle"],
        "callers": ["agents", "tools", "observability"],
    }
    inventory, _ = load(files | {"fleet.yaml": yaml.safe_dump(fleet)}, rules=[])
    assert inventory is not None
    return next(site.spec for site in inventory.sites if site.name == "graz")


def workloads(found: Sequence[Document]) -> Iterator[Place]:
    """A pod of each rendered workload."""
    for number, document in enumerate(d for d in found if d.value["kind"] == "Deployment"):
        namespace, name = (document.value["metadata"][key] for key in ("namespace", "name"))
        pod = document.value["spec"]["template"]
        ports = {p["name"]: p["containerPort"] for c in pod["spec"]["containers"] for p in c["ports"]}
        yield Place(
            f"{namespace}/{name}", f"10.244.8.{number + 1}", namespace, pod["metadata"]["labels"], ports=ports
        )


def policies_of(found: Sequence[Document]) -> list[Policy]:
    return [document.value for document in found if document.value["kind"] == "NetworkPolicy"]


def destinations(spec: SiteSpec) -> dict[str, Place]:
    """For each tool's destination its first and its last address, and the one after it, which is none."""
    found = {}
    for tool in spec.tools.values():
        for destination in tool.allowed_destinations:
            last = destination.cidr[-1]
            for address in (destination.cidr[0], last, last + 1):
                found[str(address)] = Place(str(address), str(address))
    return found


def expected(spec: SiteSpec, places: Sequence[Place]) -> set[Flow]:
    """What the inventory says may connect, between places of which one is in a guarded namespace."""
    pods: dict[str, list[Place]] = {}
    for place in places:
        pods.setdefault(place.namespace or "", []).append(place)
    flows: set[Flow] = set()
    for namespace in GUARDED:
        for pod in pods[namespace]:
            flows |= {(pod.name, DNS, "UDP", 53), (pod.name, DNS, "TCP", 53)}
            if spec.telemetry is not None:
                flows |= {(pod.name, "observability/collector", "TCP", port) for port in (4317, 4318)}
    for name, agent in spec.agents.items():
        flows.add((f"agents/{name}", f"platform/{agent.inference}", "TCP", 8443))
        flows |= {(f"agents/{name}", f"tools/{tool}", "TCP", 8443) for tool in tools_of(spec, agent)}
        callers = {pod.name for namespace in agent.callers for pod in pods[namespace]}
        # What serves models calls no agent. The ingress calls those that nobody inside does.
        callers -= {f"platform/{model}" for model in spec.inference}
        if not agent.callers and spec.platform.ingress is not None:
            callers.add("platform/gateway")
        flows |= {(caller, f"agents/{name}", "TCP", 8080) for caller in callers - {f"agents/{name}"}}
    if spec.platform.ingress is not None:
        # The ingress is the entry for the site's own networks, and asks the API server what leads where.
        own = (spec.azure_local.management.cidr, spec.kubernetes.network.cidr)
        networks = spec.platform.ingress.allowed_cidrs or own
        flows.add(("platform/gateway", API_SERVER, "TCP", 6443))
        flows |= {
            (place.name, "platform/gateway", "TCP", 8443)
            for place in pods[""]
            if any(ip_address(place.address) in network for network in networks)
        }
    routed = {route.deployment for route in spec.router.routes} if spec.router is not None else set()
    for name, deployment in spec.inference.items():
        called = routed if spec.router is not None and spec.router.model == name else set()
        if deployment.fallback.deployment is not None:
            called = called | {deployment.fallback.deployment}
        flows |= {(f"platform/{name}", f"platform/{other}", "TCP", 8443) for other in called - {name}}
    for name, tool in spec.tools.items():
        for destination in tool.allowed_destinations:
            flows |= {
                (f"tools/{name}", place.name, "TCP", destination.port)
                for place in pods[""]
                if ip_address(place.address) in destination.cidr
            }
        if tool.authentication == "token":  # whose it is, the API server knows
            flows.add((f"tools/{name}", API_SERVER, "TCP", 6443))
        if tool.fallback is not None:
            flows.add((f"tools/{name}", f"tools/{tool.fallback}", "TCP", 8443))
    return flows


def found_flows(
    policies: Sequence[Policy], places: Sequence[Place], ports: Sequence[tuple[str, int]]
) -> set[Flow]:
    return {
        (source.name, target.name, protocol, port)
        for source in places
        for target in places
        if source is not target and (source.namespace in GUARDED or target.namespace in GUARDED)
        for protocol, port in ports
        if allowed(policies, source, target, port, protocol)
    }


def flows_of(spec: SiteSpec) -> tuple[set[Flow], set[Flow]]:
    """Expected and found."""
    objects = rendered(render_site(spec))
    api_server = Place(API_SERVER, str(spec.kubernetes.control_plane.vip))
    places = [*workloads(objects), *STRANGERS, INTERNET, METADATA, api_server, *destinations(spec).values()]
    numbers = {22, 53, 80, 443, 4317, 4318, 6443, 8080, 8443} | {
        d.port for tool in spec.tools.values() for d in tool.allowed_destinations
    }
    ports = [("UDP", 53), ("UDP", 443), *(("TCP", number) for number in sorted(numbers))]
    return expected(spec, places), found_flows(policies_of(objects), places, ports)


@pytest.mark.parametrize("name", sorted(sites()))
def test_who_may_talk_to_whom(name: str) -> None:
    wanted, found = flows_of(sites()[name])
    assert sorted(found - wanted) == []
    assert sorted(wanted - found) == []


def test_who_may_talk_to_whom_at_generated_sites(tmp_path: Path) -> None:
    generate(50, tmp_path)
    files = {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in sorted(tmp_path.rglob("*.yaml"))}
    inventory, _ = load(files)
    assert inventory is not None
    assert len(inventory.sites) == 50
    for site in inventory.sites:
        wanted, found = flows_of(site.spec)
        assert wanted == found, site.name


def test_the_table_in_words() -> None:
    """The same once more, without the loops above, for a reader and against a mistake in them."""
    _, found = flows_of(with_more())
    agent, planner = "agents/maf-agent-api", "agents/planner"
    yes = [
        (agent, "platform/chat", "TCP", 8443),
        (planner, "platform/second", "TCP", 8443),
        ("platform/second", "platform/chat", "TCP", 8443),
        ("platform/second", "platform/third", "TCP", 8443),
        (agent, "tools/work-orders", "TCP", 8443),
        ("tools/reports", "tools/work-orders", "TCP", 8443),
        ("tools/work-orders", API_SERVER, "TCP", 6443),
        ("tools/work-orders", "10.30.8.20", "TCP", 443),
        ("tools/work-orders", "10.30.8.21", "TCP", 1433),
        ("tools/reports", "10.30.9.15", "TCP", 5432),
        (agent, DNS, "UDP", 53),
        (agent, "observability/collector", "TCP", 4318),
        ("platform/chat", "observability/collector", "TCP", 4317),
        ("tools/idle", DNS, "UDP", 53),
        ("platform/gateway", agent, "TCP", 8080),
        ("observability/collector", planner, "TCP", 8080),
        (agent, planner, "TCP", 8080),
    ]
    no = [
        (agent, "platform/second", "TCP", 8443),
        ("platform/chat", "platform/second", "TCP", 8443),
        ("platform/second", "platform/third", "TCP", 8080),
        (planner, "platform/third", "TCP", 8443),
        (agent, "platform/chat", "TCP", 8080),
        (agent, "tools/reports", "TCP", 8443),
        ("platform/stranger", agent, "TCP", 8080),
        ("platform/gateway", planner, "TCP", 8080),
        (agent, API_SERVER, "TCP", 6443),
        ("tools/work-orders", "tools/reports", "TCP", 8443),
        (planner, agent, "TCP", 8080),
        ("tools/work-orders", "10.30.8.20", "TCP", 1433),
        ("tools/work-orders", "10.30.9.15", "TCP", 5432),
        ("tools/reports", "10.30.9.16", "TCP", 5432),
        ("tools/work-orders", INTERNET.name, "TCP", 443),
        ("tools/work-orders", METADATA.name, "TCP", 80),
        ("tools/work-orders", "tools/reports", "TCP", 8080),
        ("tools/work-orders", "platform/chat", "TCP", 8443),
        (agent, INTERNET.name, "TCP", 443),
        (agent, "kube-system/other", "UDP", 53),
        (agent, "observability/collector", "TCP", 443),
        (agent, "observability/stranger", "TCP", 4318),
        ("observability/collector", "platform/chat", "TCP", 8443),
        ("platform/chat", agent, "TCP", 8080),
        ("platform/chat", INTERNET.name, "TCP", 443),
        ("observability/collector", agent, "TCP", 8080),
        ("flux-system/source-controller", agent, "TCP", 8080),
        ("default/stranger", "platform/chat", "TCP", 8443),
        ("agents/stranger", "platform/chat", "TCP", 8443),
        (INTERNET.name, agent, "TCP", 8080),
    ]
    assert [flow for flow in yes if flow not in found] == []
    assert [flow for flow in no if flow in found] == []


@pytest.mark.parametrize(
    ("policy", "direction", "seen"),
    [
        ("work-orders-allow", "egress", ("tools/work-orders", "internet", "TCP", 443)),
        ("maf-agent-api-allow", "ingress", ("default/stranger", "agents/maf-agent-api", "TCP", 22)),
        ("platform-default-deny-egress", "egress", ("platform/chat", "internet", "TCP", 443)),
    ],
)
def test_an_opened_policy_is_seen(policy: str, direction: str, seen: Flow) -> None:
    """The proof that the tests above can fail."""
    objects = rendered(render_site(sites()["turin"]))
    next(d for d in objects if d.value["metadata"]["name"] == policy).value["spec"][direction] = [{}]
    places = [*workloads(objects), *STRANGERS, INTERNET]
    assert seen in found_flows(policies_of(objects), places, [("TCP", 22), ("TCP", 443)])


@pytest.mark.parametrize("name", sorted(sites()))
def test_what_an_agent_is_told_to_call_it_may_call(name: str) -> None:
    """Through the Service of that name, to the port that its pods listen on."""
    objects = rendered(render_site(sites()[name]))
    places = {place.name: place for place in workloads(objects)}
    services = {
        f"{d.value['metadata']['name']}.{d.value['metadata']['namespace']}": d.value["spec"]
        for d in objects
        if d.value["kind"] == "Service"
    }
    told = [
        (d.value["metadata"]["name"].removesuffix("-config"), urlsplit(d.value["data"]["FOUNDRY_BASE_URL"]))
        for d in objects
        if d.value["kind"] == "ConfigMap" and d.value["metadata"]["namespace"] == "agents"
    ]
    assert told
    for agent, url in told:
        assert url.scheme == "https"
        service, namespace, rest = (url.hostname or "").split(".", 2)
        assert rest == "svc.cluster.local"
        spec = services[f"{service}.{namespace}"]
        port = next(p for p in spec["ports"] if p["port"] == (url.port or 443))
        target = places[f"{namespace}/{spec['selector']['app']}"]
        assert allowed(
            policies_of(objects), places[f"agents/{agent}"], target, target.ports[port["targetPort"]]
        ), agent
