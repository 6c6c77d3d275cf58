"""What a command does about the clusters that the inventory has kubeconfigs of, said before it is done."""

from collections.abc import Iterable

from fleet.app.site import PLANNED, ClusterAccess, SiteApplier
from fleet.cli import exits
from fleet.cli.console import say
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec

_SHOWN = 5


def cluster_of_run(applier: SiteApplier, spec: SiteSpec, engine: str, *, dry_run: bool) -> ClusterAccess:
    """The access that a run of one site has to its cluster, said once.

    A dry run without the secret compares with what is recorded. Raises `FleetError` (SEC010, STK002).
    """
    try:
        cluster = applier.cluster(spec)
    except FleetError as error:
        if not dry_run:
            raise
        say(f"{spec.name}: {error.message}: what is in the cluster was compared with what is recorded of it")
        return PLANNED
    if cluster.left_out:
        where = "the sandbox has no cluster, and " if engine == "local" else ""
        say(f"{spec.name}: what is in the cluster is left out: {where}{cluster.left_out}", "warning")
    elif cluster.kubeconfig is not None and engine == "local":
        server = cluster_server(spec, cluster.kubeconfig)
        say(f"{spec.name}: the sandbox has no cluster: what is in it goes to {server}, for real", "warning")
    return cluster


def say_clusters(applier: SiteApplier, specs: Iterable[SiteSpec], engine: str) -> None:
    """Say which sites of a rollout reach a cluster, and which don't. Raises `FleetError` (SEC010, STK002)."""
    reached, waiting = [], []
    for spec in specs:
        cluster = applier.cluster(spec)
        if cluster.kubeconfig is not None and engine == "local":
            reached.append(f"{spec.name} {cluster_server(spec, cluster.kubeconfig)}")
        elif cluster.left_out:
            waiting.append(f"{spec.name}: {cluster.left_out}")
    if reached:
        say(
            f"the sandbox has no clusters: what is in them goes to {_some(reached)}, for real",
            "warning",
        )
    if waiting:
        say(f"what is in the cluster is left out at {len(waiting)} sites: {_some(waiting)}", "warning")


def cluster_server(spec: SiteSpec, kubeconfig: str) -> str:
    """The API server that a site's kubeconfig is for, without a credential. Raises `FleetError` (STK002)."""
    from fleet.sandbox.kubernetes_config import KubeconfigError, read_kubeconfig

    try:
        return read_kubeconfig(kubeconfig).server
    except KubeconfigError as error:
        raise FleetError(
            "STK002",
            f"{spec.name}: kubernetes.kubeconfig can't be used: {error}",
            "kubectl config view --minify --flatten prints one that can",
            exits.MISSING,
        ) from None


def _some(texts: list[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
