"""A site on a cluster with nodes: put there as Flux would, looked at, drained and taken away."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fleet.model.site import SiteSpec
from fleet.render.tree import render_site
from tests.conformance.cluster import Cluster, Document, RefusedError, wait_until
from tests.conformance.definitions import checkable
from tests.conformance.nodes import nodes_of
from tests.conformance.rendering import BuiltPart, parts_in_order

Object = Mapping[str, Any]
NAMESPACES = ("platform", "agents", "tools")
"""Those with workloads."""


class DeployedSite:
    """A site's nodes and objects on `cluster`; a cluster holds one site at a time."""

    def __init__(self, cluster: Cluster, spec: SiteSpec, folder: Path) -> None:
        self.cluster = cluster
        self.render(spec, folder)
        for node in nodes_of(spec):
            cluster.create(node)
        self.wait(lambda: all(map(_ready, self.nodes())), "a node did not become ready")

    def render(self, spec: SiteSpec, folder: Path) -> None:
        """Take this for what is to be applied; its tree is written below `folder`."""
        self.spec = spec
        self.parts = parts_in_order(render_site(spec), folder)

    @property
    def objects(self) -> list[Document]:
        """All objects of the parts, in the order in which they are applied."""
        return [document for part in self.parts for document in part.objects]

    def of_kind(self, kind: str) -> list[Document]:
        """The objects of a kind."""
        return [document for document in self.objects if document.value["kind"] == kind]

    def apply(self) -> None:
        """Part by part, and the next when all of one is available, as `wait: true` has Flux do."""
        for part in self.parts:
            self.apply_part(part)
            self.wait(lambda part=part: all(map(self.available, part.objects)), f"part {part.name}")  # type: ignore[misc]

    def apply_part(self, part: BuiltPart) -> None:
        """Namespaces first, as Flux does; waits for no workload."""
        namespaces = [document for document in part.objects if document.value["kind"] == "Namespace"]
        for document in namespaces:
            self.cluster.apply(document)
        for document in checkable(part.objects):
            if document not in namespaces:
                self.cluster.apply(document)

    def available(self, document: Document) -> bool:
        """Whether every replica of a Deployment is there, new and available, and no old one left."""
        if document.value["kind"] != "Deployment":
            return True
        now = self.cluster.get(self.cluster.path(document.value))
        status, replicas = now.get("status", {}), now["spec"]["replicas"]
        return status.get("observedGeneration") == now["metadata"]["generation"] and all(
            status.get(field, 0) == replicas for field in ("replicas", "updatedReplicas", "availableReplicas")
        )

    def wait_available(self) -> None:
        """Until every Deployment is available."""
        self.wait(lambda: all(map(self.available, self.objects)), "not everything got ready")

    def wait(self, holds: Callable[[], bool], otherwise: str) -> None:
        """Until it holds. Raises TimeoutError, which says what the scheduler complains of."""
        try:
            wait_until(holds, otherwise, seconds=30)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; unschedulable: {self.unschedulable()}") from None

    def nodes(self) -> list[Object]:
        """The Node objects."""
        return list(self.cluster.get("/api/v1/nodes")["items"])

    def pods(self, app: str | None = None) -> list[Object]:
        """The pods that are not on their way out: all, or those of one workload."""
        staying = [pod for pod in self._all_pods() if "deletionTimestamp" not in pod["metadata"]]
        return [pod for pod in staying if app in (None, pod["metadata"]["labels"]["app"])]

    def _all_pods(self) -> list[Object]:
        return list(self.cluster.get("/api/v1/pods")["items"])

    def unschedulable(self) -> dict[str, str]:
        """What the scheduler says of pods that it finds no node for, by their app."""
        return {
            pod["metadata"]["labels"]["app"]: condition.get("message", "")
            for pod in self.pods()
            for condition in pod.get("status", {}).get("conditions", ())
            if condition["type"] == "PodScheduled" and condition["status"] == "False"
        }

    def cordon(self, node: str, *, off_limits: bool = True) -> None:
        """Keep new pods off a node, or let them on again."""
        self.cluster.merge(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": off_limits}})

    def drain(self, node: str) -> None:
        """Cordon a node, then evict its pods one by one, again while a disruption budget says no: `kubectl drain`."""
        self.cordon(node)

        def gone() -> bool:
            left = [pod for pod in self.pods() if pod["spec"].get("nodeName") == node]
            for pod in left:
                with contextlib.suppress(RefusedError):  # 429: the budget allows it later
                    self.cluster.evict(pod)
            return not left

        self.wait(gone, f"{node} could not be drained")

    def clear(self) -> None:
        """Take away what was applied, the last first, then the nodes. Namespaces stay, as when Flux prunes."""
        for document in reversed(checkable(self.objects)):
            if document.value["kind"] != "Namespace":
                with contextlib.suppress(RefusedError):  # 404: it was never applied
                    self.cluster.delete(document.value)
        self.wait(lambda: not self._all_pods(), "a pod did not go")
        self.cluster.delete_at("/api/v1/nodes")


@contextlib.contextmanager
def deployed(cluster: Cluster, spec: SiteSpec, folder: Path, *, apply: bool = True) -> Iterator[DeployedSite]:
    """The site on the cluster, with all of it available unless `apply` is off, until the block ends."""
    site = DeployedSite(cluster, spec, folder)
    try:
        if apply:
            site.apply()
        yield site
    finally:
        site.clear()


def secrets_of(objects: Sequence[Document]) -> set[tuple[str, str]]:
    """Namespace and name of each Secret that a pod can't start without."""
    return set(_references(objects, ("secretKeyRef", "secretRef", "secret")))


def config_maps_of(objects: Sequence[Document]) -> set[tuple[str, str]]:
    """Namespace and name of each ConfigMap that a pod can't start without."""
    return set(_references(objects, ("configMapKeyRef", "configMapRef", "configMap")))


def _references(objects: Sequence[Document], keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    for document in objects:
        if document.value["kind"] == "Deployment":
            namespace = document.value["metadata"]["namespace"]
            for key, value in _entries(document.value["spec"]["template"]["spec"]):
                if key in keys and not value.get("optional"):
                    yield namespace, value.get("secretName") or value["name"]


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield key, below
            yield from _entries(below)
    elif isinstance(value, list):
        for below in value:
            yield from _entries(below)


def _ready(node: Object) -> bool:
    # The taint goes a moment after the condition comes (the node lifecycle controller takes it away).
    taints = {taint["key"] for taint in node["spec"].get("taints", ())}
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", ()))
    return ready and "node.kubernetes.io/not-ready" not in taints
