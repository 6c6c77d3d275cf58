"""Side effects of AKS Arc, Arc-enabled Kubernetes, its extensions and Flux (azure-local-facts §1.9, §2)."""

from fleet.sandbox.arm.errors import ArmAnswerError, bad_request, conflict
from fleet.sandbox.arm.ids import derived_guid
from fleet.sandbox.arm.store import JsonObject, Operation, Record
from fleet.sandbox.arm.world import TENANT, Behaviour, Change, World, at, listed

CONNECTED_CLUSTER = "Microsoft.Kubernetes/connectedClusters"
INSTANCE = "Microsoft.HybridContainerService/provisionedClusterInstances"
EXTENSION = "Microsoft.KubernetesConfiguration/extensions"
LOGICAL_NETWORK = "Microsoft.AzureStackHCI/logicalNetworks"


class ConnectedCluster(Behaviour):
    """An Arc-enabled cluster: `Connecting` until its agents run."""

    def started(self, world: World, change: Change) -> None:
        """A new cluster is not connected: ARM alone connects none (§2.2)."""
        record = change.record
        if change.existing is None:
            record.manage(connectivityStatus="Connecting")
        if at(change.properties, "oidcIssuerProfile", "enabled"):
            issuer = derived_guid(record.id, "issuer")
            region = str(record.body.get("location", ""))
            url = f"https://{region}.oic.prod-arc.azure.com/{TENANT}/{issuer}"
            record.manage(oidcIssuerProfile={"issuerUrl": url})
        else:
            record.managed.get("properties", {}).pop("oidcIssuerProfile", None)


def set_connected(world: World, cluster: Record, version: str | None, nodes: int) -> None:
    """The agents of a cluster have reported: it is Connected, with a version and a number of nodes."""
    cluster.manage(
        connectivityStatus="Connected", kubernetesVersion=version, totalNodeCount=nodes, agentVersion="1.0.0"
    )
    world.store.save(cluster)


class ProvisionedClusterInstance(Behaviour):
    """The AKS Arc cluster behind a connectedCluster of kind ProvisionedCluster."""

    def check(self, world: World, change: Change) -> None:
        """Its name, the kind of its cluster, and exactly one existing logical network."""
        if change.record.name.lower() != "default":
            raise bad_request("InvalidResourceName", "A provisionedClusterInstances is named 'default'.")
        cluster = world.store.get(change.address.scope)
        if cluster is not None and str(cluster.body.get("kind", "")).lower() != "provisionedcluster":
            raise bad_request(
                "InvalidConnectedClusterKind", f"'{cluster.id}' is not of kind ProvisionedCluster."
            )
        networks = at(change.properties, "cloudProviderProfile", "infraNetworkProfile", "vnetSubnetIds")
        if len(listed(networks)) != 1:
            raise bad_request(
                "InvalidRequest", "infraNetworkProfile.vnetSubnetIds must name exactly one network."
            )
        network = world.store.get(str(networks[0]))
        if network is None or network.type.lower() != LOGICAL_NETWORK.lower():
            raise bad_request(
                "LogicalNetworkNotFound", f"The logical network '{networks[0]}' does not exist."
            )

    def settled(self, world: World, record: Record) -> None:
        """The Arc agents of the new cluster connect."""
        cluster = _cluster_above(world, record)
        profile = at(record.body, "properties", "agentPoolProfiles")
        counts = [at(record.body, "properties", "controlPlane", "count")]
        counts += [at(pool, "count") for pool in listed(profile)]
        nodes = sum(count for count in counts if isinstance(count, int))
        if cluster is not None:
            set_connected(world, cluster, record.property("kubernetesVersion"), nodes)

    def deleted(self, world: World, record: Record) -> None:
        """The agents are gone with the cluster."""
        cluster = _cluster_above(world, record)
        if cluster is not None:
            cluster.manage(connectivityStatus="Offline")
            world.store.save(cluster)


def _cluster_above(world: World, record: Record) -> Record | None:
    return world.store.get("/".join(record.id.split("/")[:9]))


class KubernetesVersions(Behaviour):
    """`{customLocation}/…/kubernetesVersions/default`: which versions a node image is ready for."""

    def settled(self, world: World, record: Record) -> None:
        """All the versions of the table are ready for Linux nodes."""
        ready = [{"osType": "Linux", "osSku": "CBLMariner", "ready": True, "errorMessage": ""}]
        values: dict[str, JsonObject] = {}
        for version in world.table.data["kubernetes_versions"]:
            minor = version.rsplit(".", 1)[0]
            entry = values.setdefault(minor, {"version": minor, "isPreview": False, "patchVersions": {}})
            entry["patchVersions"][version] = {"readiness": ready, "upgrades": []}
        record.manage(values=list(values.values()))


class Extension(Behaviour):
    """A cluster extension."""

    def check(self, world: World, change: Change) -> None:
        """The stand-in is stricter than Azure here: it refuses what Azure would leave waiting for hours."""
        require_connected(world, change)

    def seconds(self, world: World, change: Change, default: float) -> float:
        """Some take longer than others (types.yaml)."""
        kind = str(change.properties.get("extensionType") or "").lower()
        return float(world.table.data["extensions"].get(kind, {}).get("seconds", default))

    def settled(self, world: World, record: Record) -> None:
        """It is installed, in the version that was asked for, where what it needs is there (§3.1).

        How Azure says that something is missing is the stand-in's guess: an extension's failed
        installation ends its operation with ExtensionOperationFailed.
        """
        kind = str(record.property("extensionType") or "").lower()
        for needed in world.table.data["extensions"].get(kind, {}).get("needs", ()):
            if needed not in installed_extensions(world, record.id):
                raise ArmAnswerError(
                    400,
                    "ExtensionOperationFailed",
                    f"The extension '{record.name}' failed to install: its cluster has no {needed}.",
                )
        record.managed.get("properties", {}).pop("errorInfo", None)
        record.manage(
            currentVersion=record.property("version") or "1.0.0",
            isSystemExtension=False,
            statuses=[],
        )

    def failed(self, world: World, record: Record, operation: Operation) -> None:
        """The extension carries the error."""
        record.manage(errorInfo={name: str(text) for name, text in (operation.error or {}).items()})


def installed_extensions(world: World, resource_id: str) -> set[str]:
    """The types, in lower case, of the extensions that the resource's cluster has and that have succeeded."""
    cluster_id = "/".join(resource_id.split("/")[:9])
    return {
        str(extension.property("extensionType")).lower()
        for extension in world.store.beneath(cluster_id, EXTENSION)
        if extension.property("provisioningState") == "Succeeded"
    }


class LoadBalancer(Behaviour):
    """Addresses that MetalLB gives out, MetalLB being an extension of the cluster (§1.9)."""

    def check(self, world: World, change: Change) -> None:
        """Without the extension nobody would serve it. How Azure refuses that is the stand-in's guess."""
        require_connected(world, change)
        if "microsoft.arcnetworking" not in installed_extensions(world, change.record.id):
            raise bad_request(
                "ExtensionNotInstalled",
                "The cluster has no extension of type microsoft.arcnetworking that has succeeded.",
            )


def require_connected(world: World, change: Change) -> None:
    """409 unless the connected cluster above is Connected."""
    cluster = world.store.get(change.address.scope)
    if cluster is not None and cluster.property("connectivityStatus") != "Connected":
        raise conflict(
            "ClusterNotConnected",
            f"The cluster '{cluster.name}' is {cluster.property('connectivityStatus')}. It is Connected once "
            "its provisionedClusterInstances/default has Succeeded, or (other clusters) once its Arc agents "
            "are installed: the sandbox's seed_connected_cluster.",
        )


class FluxConfiguration(Behaviour):
    """A Flux configuration: compliant when the registry has what it points to."""

    def check(self, world: World, change: Change) -> None:
        """As for extensions."""
        require_connected(world, change)

    def settled(self, world: World, record: Record) -> None:
        """The first fluxConfiguration installs the microsoft.flux extension (§2.5)."""
        cluster = _cluster_above(world, record)
        if cluster is None:
            return
        present = {
            str(extension.property("extensionType")).lower()
            for extension in world.store.beneath(cluster.id, EXTENSION)
        }
        if "microsoft.flux" not in present:
            world.create(
                f"{cluster.id}/providers/{EXTENSION}/flux",
                EXTENSION,
                {"properties": {"extensionType": "microsoft.flux", "autoUpgradeMinorVersion": True}},
                currentVersion="1.0.0",
            )

    def view(self, world: World, shown: JsonObject) -> None:
        """The compliance is asked for now: the registry may have changed since the last look."""
        properties = shown.setdefault("properties", {})
        state, message = _compliance(world, properties)
        source = properties.get("sourceKind", "GitRepository")
        reason = {"Compliant": "Succeeded", "Non-Compliant": "OCIPullFailed"}.get(state, state)
        condition = {
            "type": "Ready",
            "status": {"Compliant": "True", "Non-Compliant": "False"}.get(state, "Unknown"),
            "reason": reason,
            "message": message,
            "lastTransitionTime": world.timestamp(),
        }
        properties["complianceState"] = state
        properties["statuses"] = [
            {
                "name": shown["name"],
                "namespace": properties.get("namespace", "default"),
                "kind": source,
                "complianceState": state,
                "statusConditions": [condition],
            }
        ]
        if state == "Compliant":
            properties["sourceSyncedCommitId"] = at(properties, "ociRepository", "repositoryRef", "digest")


def _compliance(world: World, properties: JsonObject) -> tuple[str, str]:
    if properties.get("provisioningState") in ("Creating", "Updating"):
        return "Pending", "The configuration is being applied."
    if properties.get("suspend") is True:
        return "Suspended", "The configuration is suspended."
    url = at(properties, "ociRepository", "url")
    digest = at(properties, "ociRepository", "repositoryRef", "digest")
    if properties.get("sourceKind") != "OCIRepository" or not isinstance(url, str):
        return "Unknown", "The stand-in follows OCI repositories only."
    if not isinstance(digest, str) or not digest:
        return "Unknown", "The stand-in follows an OCI repository by digest only."
    if world.artifact_exists is None:
        return "Unknown", "The sandbox has no registry to look into."
    try:
        exists = world.artifact_exists(url, digest)
    except Exception as error:  # a registry that fails is a status of the configuration, as in Flux
        return "Non-Compliant", f"failed to pull artifact from '{url}': {type(error).__name__}: {error}"
    if not exists:
        return "Non-Compliant", f"failed to pull artifact from '{url}': digest {digest} not found"
    return "Compliant", f"stored artifact for digest '{digest}'"


BEHAVIOURS: dict[str, Behaviour] = {
    CONNECTED_CLUSTER.lower(): ConnectedCluster(),
    INSTANCE.lower(): ProvisionedClusterInstance(),
    "microsoft.hybridcontainerservice/kubernetesversions": KubernetesVersions(),
    EXTENSION.lower(): Extension(),
    "microsoft.kubernetesruntime/loadbalancers": LoadBalancer(),
    "microsoft.kubernetesconfiguration/fluxconfigurations": FluxConfiguration(),
}
