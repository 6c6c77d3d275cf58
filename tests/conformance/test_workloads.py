"""What is rendered gets ready on the site's own nodes, and stays up through a drain and an upgrade.

Real: API server, controllers, scheduler, kustomize. A stand-in: the nodes, played by KWOK, on which every pod is ready
at once; nothing here says that an image exists, that a probe succeeds or that a model loads.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from fleet.model.site import SiteSpec
from tests.bench.generate_fleet import generate
from tests.conformance.cluster import Cluster, Document, RefusedError
from tests.conformance.definitions import definitions
from tests.conformance.deployed import NAMESPACES, DeployedSite, Object, config_maps_of, deployed, secrets_of
from tests.conformance.nodes import GPU
from tests.conformance.running import running_cluster
from tests.factory import Edits, factory_inventory, load

FLEET, GRAZ = "fleet.yaml", "sites/graz.yaml"
EXAMPLES = ("graz", "narvik", "turin")
TOPOLOGIES = ("pilot-node", "datacenter-cluster", "distributed")
# Another version of each image of the example.
UPGRADE: Edits = {
    FLEET: [
        ("foundry-gateway:1.4.0@sha256:5808", "foundry-gateway:1.4.1@sha256:5809"),
        ("maf-agent-api:1.0.0@sha256:b949", "maf-agent-api:1.0.1@sha256:b94a"),
        ("work-orders-proxy:2.3.1@sha256:3425", "work-orders-proxy:2.3.2@sha256:3426"),
        ("vllm-gateway:0.9.2@sha256:4dc2", "vllm-gateway:0.9.3@sha256:4dc3"),
    ]
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), nodes=True) as running:
        running.install(definitions())
        yield running


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, SiteSpec]:
    """A generated site of each topology."""
    folder = tmp_path_factory.mktemp("generated")
    generate(30, folder)
    inventory, diagnostics = load(
        {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*.yaml"))}
    )
    assert inventory is not None
    assert not diagnostics
    return {site.spec.topology: site.spec for site in inventory.sites}


def example(name: str, edits: Edits | None = None) -> SiteSpec:
    return next(site.spec for site in factory_inventory(edits).sites if site.name == name)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_gets_ready_and_takes_an_upgrade(cluster: Cluster, tmp_path: Path, name: str) -> None:
    with deployed(cluster, example(name), tmp_path / "old") as site:
        check_placement(site)
        check_budgets(site)
        before = images(site)
        site.render(example(name, UPGRADE), tmp_path / "new")
        site.apply()
        assert len(images(site)) == len(before) == 3
        assert images(site).isdisjoint(before)
        check_placement(site)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_a_generated_site_gets_ready(
    cluster: Cluster, tmp_path: Path, generated: Mapping[str, SiteSpec], topology: str
) -> None:
    with deployed(cluster, generated[topology], tmp_path) as site:
        check_placement(site)
        check_budgets(site)


def check_placement(site: DeployedSite) -> None:
    """Every pod is on a node of the pool that the inventory gives it, and no node gives more GPUs than it has."""
    spec, pods = site.spec, ours(site)
    replicas: dict[str, int] = {}
    pool_of: dict[str, str] = {}
    for group in (spec.inference, spec.agents, spec.tools):
        for name, workload in group.items():
            replicas[name], pool_of[name] = workload.replicas, workload.node_pool
    assert Counter(app(pod) for pod in pods) == replicas
    assert site.unschedulable() == {}
    nodes = {node["metadata"]["name"]: node for node in site.nodes()}
    taken: Counter[str] = Counter()
    for pod in pods:
        node = nodes[pod["spec"]["nodeName"]]
        assert node["metadata"]["labels"]["fleet/node-pool"] == pool_of[app(pod)], app(pod)
        for container in pod["spec"]["containers"]:
            taken[node["metadata"]["name"]] += int(container["resources"]["limits"].get(GPU, 0))
    for name, gpus in taken.items():
        assert gpus <= int(nodes[name]["status"]["allocatable"].get(GPU, 0)), name
    expected = sum(d.gpus * d.replicas for d in spec.inference.values() if d.accelerator == "gpu")
    assert taken.total() == expected


def check_budgets(site: DeployedSite) -> None:
    """A node can always be drained: each budget lets one pod go. Of one replica that is the only one."""
    found = site.of_kind("PodDisruptionBudget")
    # The collector is one pod with a volume: it goes and comes back.
    budgeted = [d for d in site.of_kind("Deployment") if d.value["metadata"]["namespace"] in NAMESPACES]
    assert len(found) == len(budgeted)
    replicas = {d.value["metadata"]["name"]: d.value["spec"]["replicas"] for d in site.of_kind("Deployment")}
    for budget in found:
        count = replicas[budget.value["metadata"]["name"]]
        site.wait(
            lambda budget=budget, count=count: status_of(site, budget).get("currentHealthy") == count,  # type: ignore[misc]
            f"the disruption controller does not see {budget.name}'s pods",
        )
        status = status_of(site, budget)
        assert (status["disruptionsAllowed"], status["desiredHealthy"]) == (1, count - 1), budget.name


def test_a_drained_node_is_replaced_where_another_has_room(cluster: Cluster, tmp_path: Path) -> None:
    with deployed(cluster, example("graz"), tmp_path) as site:
        site.drain("agents-1")
        site.wait_available()
        assert {node_of(pod) for pod in site.pods("maf-agent-api") + site.pods("work-orders")} == {"agents-2"}


def test_without_a_spare_gpu_a_drain_costs_one_replica_and_no_more(cluster: Cluster, tmp_path: Path) -> None:
    """Two GPU nodes, two replicas: the inventory says no N-1, and the budget keeps the last one."""
    with deployed(cluster, example("graz"), tmp_path) as site:
        site.drain("inference-1")
        site.wait(lambda: set(site.unschedulable()) == {"chat"}, "the scheduler found a node for it")
        assert f"Insufficient {GPU}" in site.unschedulable()["chat"]
        left = next(pod for pod in site.pods("chat") if node_of(pod))
        with pytest.raises(RefusedError, match=r"^429: .*disruption budget"):
            cluster.evict(left)
        site.cordon("inference-1", off_limits=False)
        site.wait_available()


def test_of_one_replica_a_drain_takes_the_only_one(cluster: Cluster, tmp_path: Path) -> None:
    """A pilot's node can be drained, as its budget allows; until it is back, nothing serves."""
    with deployed(cluster, example("turin"), tmp_path) as site:
        site.drain("inference-1")
        site.wait(lambda: set(site.unschedulable()) == {"chat"}, "the scheduler found a node for it")
        assert not any(node_of(pod) for pod in site.pods("chat"))
        site.cordon("inference-1", off_limits=False)
        site.wait_available()


def test_a_pod_that_asks_for_a_gpu_too_many_is_seen(cluster: Cluster, tmp_path: Path) -> None:
    """The proof that the tests above can fail."""
    with deployed(cluster, example("graz"), tmp_path, apply=False) as site:
        for part in site.parts:
            site.apply_part(part)
        site.wait_available()
        chat = next(d for d in site.of_kind("Deployment") if d.value["metadata"]["name"] == "chat")
        cluster.apply(Document(chat.text.replace(f"{GPU}: 1", f"{GPU}: 2"), chat.value))
        site.wait(lambda: "chat" in site.unschedulable(), "the scheduler found a node for it")
        assert f"Insufficient {GPU}" in site.unschedulable()["chat"]
        assert not site.available(chat)
        with pytest.raises(AssertionError):
            check_placement(site)


def test_an_upgrade_that_waits_for_a_spare_gpu_waits_for_ever(cluster: Cluster, tmp_path: Path) -> None:
    """Why inference is replaced without a surge: Kubernetes' own default needs a GPU that no node has."""
    with deployed(cluster, example("graz"), tmp_path) as site:
        chat = next(d for d in site.of_kind("Deployment") if d.value["metadata"]["name"] == "chat")
        strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        template = {"metadata": {"annotations": {"changed": "yes"}}}
        cluster.merge(cluster.path(chat.value), {"spec": {"strategy": strategy, "template": template}})
        site.wait(lambda: "chat" in site.unschedulable(), "the scheduler found a node for it")
        assert not site.available(chat)


def test_each_gpu_of_a_node_can_serve_a_replica(cluster: Cluster, tmp_path: Path) -> None:
    two_a_node = [
        (
            "inference: {vmSize: Standard_NC16_L4_1, count: 2,",
            "inference: {vmSize: Standard_NC16_L4_2, count: 1,",
        ),
        ("perNode: 2,", "perNode: 4,"),  # two spare on each machine, for upgrades
    ]
    with deployed(cluster, example("graz", {FLEET: two_a_node}), tmp_path) as site:
        assert {node_of(pod) for pod in site.pods("chat")} == {"inference-1"}
        check_placement(site)


def test_each_replica_on_cpu_takes_a_node_of_its_own(cluster: Cluster, tmp_path: Path) -> None:
    """Half of a node is more than half of what its pods get: a second replica waits for a second node."""
    turin = example("turin")
    two = turin.inference["chat"].model_copy(update={"replicas": 2})  # INF034 would say so
    spec = turin.model_copy(update={"inference": {"chat": two}})
    with deployed(cluster, spec, tmp_path, apply=False) as site:
        for part in site.parts:
            site.apply_part(part)
        site.wait(lambda: set(site.unschedulable()) == {"chat"}, "the scheduler found a node for it")
        assert "Insufficient cpu, 1 Insufficient memory" in site.unschedulable()["chat"]
        assert sorted(node_of(pod) for pod in site.pods("chat")) == ["", "inference-1"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_pods_wait_for_these_secrets_and_no_others(cluster: Cluster, tmp_path: Path, name: str) -> None:
    """KWOK's pods start without them, a kubelet's don't: whoever runs the site puts these there."""
    with deployed(cluster, example(name), tmp_path, apply=False) as site:
        rendered = {
            (d.value["metadata"]["namespace"], d.value["metadata"]["name"]) for d in site.of_kind("ConfigMap")
        }
        # What trust-manager makes of the Bundle, and what every namespace has by itself.
        bundle = site.of_kind("Bundle")[0].value
        trusting = bundle["spec"]["target"]["namespaceSelector"]["matchExpressions"][0]["values"]
        made = {(place, bundle["metadata"]["name"]) for place in trusting}
        made |= {(place, "kube-root-ca.crt") for place in NAMESPACES}
        assert config_maps_of(site.objects) <= rendered | made
        assert site.of_kind("Secret") == []
        certificates = {
            (d.value["metadata"]["namespace"], d.value["spec"]["secretName"])
            for d in site.of_kind("Certificate")
        }
        assert {("platform", "chat-tls"), ("tools", "work-orders-tls")} <= certificates
        assert secrets_of(site.objects) - certificates == {("agents", "agent-secrets")}


def app(pod: Object) -> str:
    return str(pod["metadata"]["labels"]["app"])


def node_of(pod: Object) -> str:
    return str(pod["spec"].get("nodeName", ""))


def images(site: DeployedSite) -> set[str]:
    return {container["image"] for pod in ours(site) for container in pod["spec"]["containers"]}


def ours(site: DeployedSite) -> list[Object]:
    """The pods of what the inventory calls models, agents and tools: the platform's own come by chart or collect."""
    return [pod for pod in site.pods() if pod["metadata"]["namespace"] in NAMESPACES]


def status_of(site: DeployedSite, document: Document) -> Object:
    return dict(site.cluster.get(site.cluster.path(document.value)).get("status", {}))
