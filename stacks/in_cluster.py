"""`InCluster`: what the program declares in a site's cluster, where a kubeconfig reaches it.

One owner an object. What the rendered tree holds is Flux's, which applies it wherever the site gets content;
the program declares what Flux itself needs (on a site without Arc) and what the tree does not hold. So:

- namespaces: the tree's. Without Arc the program makes them first, since Flux and the secrets of workloads
  need them, with the tree's own values; from then on they are Flux's, and the program ignores their changes.
  With Arc, Flux comes by itself and makes them.
- Flux: Arc's extension where there is Arc; else a chart, its source and its entry point are the program's.
- GPU operator, KAI and queues: the tree's (fleet/render/gpu.py).
- registry and model cache: here only, as Flux pulls from that registry (`in_cluster_registry`).

Most of it is protected: a run that lacks the kubeconfig, and so does not declare it, stops before it deletes
anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pulumi

from fleet.model.site import SiteSpec

from . import names
from .arc_platform import FluxContent
from .bootstrap_secrets import unknown_secret
from .errors import StackError
from .in_cluster_objects import (
    CA_SECRET,
    FLUX_NAMESPACE,
    Object,
    flux_entry,
    flux_source,
    namespaces_of,
    tree_objects,
)
from .in_cluster_registry import Store, store_objects, stores_of
from .in_cluster_releases import FLUX, Release, flux_release
from .left_out import LeftOut

_KEPT = ("metadata.labels", "metadata.annotations")
NO_KUBECONFIG = LeftOut(
    "what the program runs in the cluster: namespaces, Flux without Arc, registry and model cache",
    "no kubeconfig is given: kubernetes.kubeconfig in the inventory, or pulumi config set --secret "
    "fleet:kubeconfig",
)
NO_HELM = "the local engine runs no Helm: it has to be in the cluster already, or comes with the Pulumi CLI"
NO_FLUX = LeftOut(
    "Flux in the cluster, and with it the site's workloads",
    "without a kubeconfig nothing installs Flux here: images and manifests wait in the site's registry",
)


@dataclass(frozen=True)
class InClusterArgs:
    """What is declared, after the cluster is `ready`. `kubeconfig` is its content, a secret; None stands for
    one that is not known, in a plan.

    `registry_image` is the image of CNCF distribution, by digest, where the site's registry and model cache
    run in this cluster.
    """

    spec: SiteSpec
    content: FluxContent | None
    kubeconfig: pulumi.Output[str] | None
    ready: pulumi.Resource
    registry_image: str | None = None
    helm: bool = True
    """Whether Helm releases are declared."""


class InCluster(pulumi.ComponentResource):
    """The program's part of what is in the cluster; see the module."""

    def __init__(self, name: str, args: InClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fleet:kubernetes:InCluster", name, None, opts)
        import pulumi_kubernetes as kubernetes  # not on the way of a site without a kubeconfig

        self._provider = kubernetes.Provider(
            "kubernetes",
            kubeconfig=unknown_secret() if args.kubeconfig is None else args.kubeconfig,
            # What the provider is for is a cluster, not a credential: a new kubeconfig replaces nothing.
            cluster_identifier=names.connected_cluster_id(args.spec),
            enable_secret_mutable=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._made, self._helm = kubernetes, args.helm
        spec, tree = args.spec, tree_objects(args.spec)
        spaces = self._namespaces(spec, tree, args.ready)
        for store in stores_of(spec, args.registry_image):
            self._store(store, args.ready)
        if spec.connectivity.mode == "disconnected":
            self._flux(spec, args.content, spaces.get(FLUX_NAMESPACE), args.ready)
        self.register_outputs({})

    def _namespaces(
        self, spec: SiteSpec, tree: tuple[Object, ...], ready: pulumi.Resource
    ) -> dict[str, pulumi.Resource]:
        if spec.connectivity.mode != "disconnected":
            return {}
        return {
            found["metadata"]["name"]: self._made.core.v1.Namespace(
                f"namespace-{found['metadata']['name']}",
                metadata=found["metadata"],
                opts=self._opts([ready], keep=True, ignore_changes=[*_KEPT]),
            )
            for found in namespaces_of(tree)
        }

    def _flux(
        self,
        spec: SiteSpec,
        content: FluxContent | None,
        namespace: pulumi.Resource | None,
        ready: pulumi.Resource,
    ) -> None:
        after = [namespace or ready]
        release = flux_release(spec)
        if self._helm and isinstance(release, Release):
            after.append(self._release(release, after))
        if content is None:
            return
        if content.ca_certificate is not None:
            secret = self._made.core.v1.Secret(
                CA_SECRET,
                metadata={"name": CA_SECRET, "namespace": FLUX_NAMESPACE},
                data={"ca.crt": content.ca_certificate},
                opts=self._opts([namespace or ready]),
            )
            after.append(secret)
        source = self._object("flux-source", flux_source(spec, content), after, protect=True)
        # Protected as Arc's Flux configuration is: deleting it would prune every workload of the site.
        self._object("flux-entry", flux_entry(spec), [source], protect=True)

    def _store(self, store: Store, ready: pulumi.Resource) -> None:
        after = [ready]
        for found in store_objects(store):
            kind, label = found["kind"], f"{store.name}-{found['kind'].lower()}"
            rest = {key: value for key, value in found.items() if key not in ("apiVersion", "kind")}
            # A volume can't be made smaller, and Pulumi would replace it to make it larger: by hand.
            ignored = {"Namespace": [*_KEPT], "PersistentVolumeClaim": ["spec"]}.get(kind, [])
            opts = self._opts([*after], keep=bool(ignored), ignore_changes=ignored)
            maker = self._made.apps.v1 if kind == "Deployment" else self._made.core.v1
            after.append(getattr(maker, kind)(label, **rest, opts=opts))

    def _release(self, release: Release, after: list[pulumi.Resource]) -> pulumi.Resource:
        made: pulumi.Resource = self._made.helm.v3.Release(
            f"release-{release.name}",
            name=release.name,
            namespace=release.namespace,
            create_namespace=False,  # the program makes it with its labels
            chart=release.chart,
            version=release.version,
            values=release.values,
            atomic=True,  # what fails is rolled back, and not left half installed
            opts=self._opts(after, keep=True),
        )
        return made

    def _object(
        self, name: str, found: Object, after: list[pulumi.Resource], *, protect: bool = False
    ) -> pulumi.Resource:
        made: pulumi.Resource = self._made.apiextensions.CustomResource(
            name,
            api_version=found["apiVersion"],
            kind=found["kind"],
            metadata=found["metadata"],
            spec=found["spec"],
            opts=self._opts(after, protect=protect),
        )
        return made

    def _opts(
        self,
        after: list[pulumi.Resource],
        *,
        keep: bool = False,
        protect: bool = False,
        ignore_changes: list[str] | None = None,
    ) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self,
            provider=self._provider,
            depends_on=after,
            protect=protect or keep,
            retain_on_delete=keep,
            ignore_changes=ignore_changes,
        )


def declare_in_cluster(
    spec: SiteSpec, content: FluxContent | None, ready: pulumi.Resource, opts: pulumi.ResourceOptions
) -> tuple[LeftOut, ...]:
    """Declare `InCluster` where `fleet:kubeconfig` is set; what is left out, and why.

    With `fleet:planCluster` a preview declares it without one. With `fleet:helmReleases` false no release is
    declared. Raises `StackError` for a `fleet:registryImage` without a digest.
    """
    config = pulumi.Config("fleet")
    kubeconfig, image = config.get_secret("kubeconfig"), config.get("registryImage")
    image = image or (spec.registry.image if spec.registry is not None else None)
    if image is not None and "@sha256:" not in image:
        raise StackError(f"fleet:registryImage is {image!r}; name it by digest: host/path:tag@sha256:…")
    planned = config.get_bool("planCluster") and pulumi.runtime.is_dry_run()
    if kubeconfig is None and not planned:
        without_arc = spec.connectivity.mode == "disconnected"
        return (NO_KUBECONFIG, NO_FLUX) if without_arc else (NO_KUBECONFIG,)
    helm = config.get_bool("helmReleases") is not False
    InCluster("in-cluster", InClusterArgs(spec, content, kubeconfig, ready, image, helm), opts)
    return tuple(LeftOut(what, why) for what, why in _left_out(spec, image, helm=helm))


def _left_out(spec: SiteSpec, image: str | None, *, helm: bool) -> Iterator[tuple[str, str]]:
    if spec.connectivity.mode == "disconnected":
        why = flux_release(spec) if helm else NO_HELM
        if isinstance(why, str):
            yield f"the chart {FLUX}", f"{why}; what needs it waits for it"
    if image is None and (spec.registry is not None or spec.model_cache is not None):
        yield (
            "registry and model cache in the cluster",
            "registry.image names none by digest (or fleet:registryImage): somebody else runs them",
        )
    if image is not None and spec.registry is not None and spec.registry.anonymous_pull:
        yield (
            "pulling from the site's registry without a user",
            "distribution, as it is run here, can't let all pull and only some push",
        )
