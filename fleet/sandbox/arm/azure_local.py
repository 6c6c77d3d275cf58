"""Side effects of Azure Local's resource types (azure-local-facts §1.2, §1.4, §1.6)."""

from fleet.sandbox.arm.errors import ArmAnswerError, bad_request, conflict
from fleet.sandbox.arm.ids import derived_guid, group_id_of
from fleet.sandbox.arm.store import JsonObject, Operation, Record
from fleet.sandbox.arm.world import Behaviour, Change, World, at, listed

CLUSTER = "Microsoft.AzureStackHCI/clusters"
MACHINE = "Microsoft.HybridCompute/machines"
CUSTOM_LOCATION = "Microsoft.ExtendedLocation/customLocations"
APPLIANCE = "Microsoft.ResourceConnector/appliances"
STORAGE_CONTAINER = "Microsoft.AzureStackHCI/storageContainers"


class Cluster(Behaviour):
    """The cluster shell: gets its cloudId, and waits for a deployment."""

    def started(self, world: World, change: Change) -> None:
        """A new cluster is not registered yet; a later PUT leaves its state alone."""
        if change.existing is None:
            change.record.manage(
                status="NotYetRegistered",
                connectivityStatus="NotYetRegistered",
                cloudId=derived_guid(change.record.id, "cloudId"),
            )


class EdgeDevice(Behaviour):
    """The extension resource that makes an Arc machine an Azure Local node."""

    def settled(self, world: World, record: Record) -> None:
        """The mandatory extensions appear on the machine (azure-local-facts §1.3)."""
        machine = world.store.get(record.id.lower().split("/providers/microsoft.azurestackhci/")[0])
        if machine is not None:
            add_machine_extensions(world, machine)


def add_machine_extensions(world: World, machine: Record) -> None:
    """Create the mandatory Azure Local extensions of a machine, as its registration does."""
    for extension in world.table.data["machine_extensions"]:
        world.create(
            f"{machine.id}/extensions/{extension['name']}",
            f"{MACHINE}/extensions",
            {
                "location": machine.body.get("location", ""),
                "properties": {"publisher": extension["publisher"], "type": extension["type"]},
            },
        )


class Deployment(Behaviour):
    """`clusters/deploymentSettings/default`: Validate, then Deploy, which creates what is around."""

    def check(self, world: World, change: Change) -> None:
        """Mode, nodes, and the order of things that cannot be repeated.

        The 409s are the stand-in's: the documentation forbids both (§1.2, idempotency rules) and
        does not say how the provider answers.
        """
        mode = change.properties.get("deploymentMode")
        if mode not in ("Validate", "Deploy"):
            raise bad_request(
                "InvalidDeploymentMode", f"deploymentMode must be Validate or Deploy, not {mode!r}."
            )
        nodes = listed(change.properties.get("arcNodeResourceIds"))
        if not nodes:
            raise bad_request("InvalidRequest", "arcNodeResourceIds must name at least one machine.")
        for node in nodes:
            machine = world.store.get(str(node))
            if machine is None or machine.type.lower() != MACHINE.lower():
                raise bad_request(
                    "ArcMachineNotFound",
                    f"The Arc machine '{node}' does not exist. Register the node with Azure Arc first.",
                )
        if mode == "Deploy" and not custom_location_name(change.sent):
            raise bad_request(
                "InvalidRequest",
                "scaleUnits[0].deploymentData.optionalServices.customLocation must name the custom location.",
            )
        status = _cluster_of(world, change.record).property("status")
        if mode == "Validate" and status in ("DeploymentSuccess", "DeploymentFailed"):
            raise conflict(
                "Conflict",
                f"The cluster's status is {status}: do not validate again. "
                "A failed deployment is put right and deployed again, or the nodes are reinstalled.",
            )

    def seconds(self, world: World, change: Change, default: float) -> float:
        """Minutes for Validate, hours for Deploy."""
        return float(world.table.data["deployment"][str(change.properties["deploymentMode"]).lower()])

    def started(self, world: World, change: Change) -> None:
        """The reported status and the cluster's are InProgress."""
        mode = str(change.properties["deploymentMode"])
        _report(world, change.record, mode, "InProgress")
        cluster = _cluster_of(world, change.record)
        cluster.manage(status=f"{_PHASE[mode]}InProgress")
        world.store.save(cluster)

    def settled(self, world: World, record: Record) -> None:
        """Validate has checked the secrets' existence; Deploy has created what §1.2 row 11 lists."""
        mode = str(record.property("deploymentMode"))
        cluster = _cluster_of(world, record)
        _require_secrets(world, record)
        if mode == "Deploy":
            _create_what_deploy_creates(world, cluster, record)
        cluster.manage(status=f"{_PHASE[mode]}Success")
        world.store.save(cluster)
        _report(world, record, mode, "Success")

    def failed(self, world: World, record: Record, operation: Operation) -> None:
        """The last step carries the error; the cluster says which phase failed."""
        mode = str(record.property("deploymentMode"))
        _report(world, record, mode, "Error", operation.error)
        cluster = _cluster_of(world, record)
        cluster.manage(status=f"{_PHASE[mode]}Failed")
        world.store.save(cluster)


_PHASE = {"Validate": "Validation", "Deploy": "Deployment"}


def custom_location_name(body: JsonObject) -> str | None:
    """The custom location's name in a deploymentSettings body, or None."""
    name = at(
        body, "properties", "deploymentConfiguration", "scaleUnits", 0, "deploymentData", "optionalServices",
        "customLocation",
    )  # fmt: skip
    return name if isinstance(name, str) and name else None


def _cluster_of(world: World, settings: Record) -> Record:
    cluster = world.store.get("/".join(settings.id.split("/")[:9]))
    if cluster is None:
        raise ArmAnswerError(
            404, "ParentResourceNotFound", "The cluster of these deployment settings is gone."
        )
    return cluster


def _report(world: World, record: Record, mode: str, status: str, error: JsonObject | None = None) -> None:
    names = world.table.data["deployment"][f"{mode.lower()}_steps"]
    steps: list[JsonObject] = []
    for number, name in enumerate(names):
        last = number == len(names) - 1
        step: JsonObject = {"name": name, "fullStepIndex": str(number), "status": "Success", "steps": []}
        if status == "InProgress" or (last and status == "Error"):
            step["status"] = status
        if error and last:
            step["exception"] = [str(error.get("message", ""))]
        if status != "InProgress":
            step["endTimeUtc"] = world.timestamp()
        steps.append(step)
        if status == "InProgress":
            break  # the steps after the first have not begun
    reported = dict(record.managed.get("properties", {}).get("reportedProperties", {}))
    reported[f"{_PHASE[mode].lower()}Status"] = {"status": status, "steps": steps}
    record.manage(reportedProperties=reported)


def _require_secrets(world: World, record: Record) -> None:
    """Where a secret's Key Vault is one of ours, the secret must be in it."""
    units = at(record.body, "properties", "deploymentConfiguration", "scaleUnits")
    vaults = {vault.name.lower(): vault for vault in world.store.of_type("Microsoft.KeyVault/vaults")}
    for secret in listed(at(units, 0, "deploymentData", "secrets")):
        parts = str(at(secret, "secretLocation") or "").removeprefix("https://").split("/")
        vault = vaults.get(parts[0].split(".")[0].lower())
        if vault is None or len(parts) < 3:
            continue
        if world.store.get(f"{vault.id}/secrets/{parts[2]}") is None:
            raise ArmAnswerError(
                400,
                "SecretNotFound",
                f"'{parts[2]}' ({at(secret, 'eceSecretName')}) is not in the Key Vault '{vault.name}'.",
            )


def _create_what_deploy_creates(world: World, cluster: Record, settings: Record) -> None:
    group, location = group_id_of(cluster.id), cluster.body.get("location", "")
    appliance = world.create(
        f"{group}/providers/{APPLIANCE}/{cluster.name}-arcbridge",
        APPLIANCE,
        {
            "location": location,
            "identity": {"type": "SystemAssigned"},
            "properties": {"distro": "AKSEdge", "infrastructureConfig": {"provider": "HCI"}},
        },
        status="Running",
    )
    custom_location = world.create(
        f"{group}/providers/{CUSTOM_LOCATION}/{custom_location_name(settings.body)}",
        CUSTOM_LOCATION,
        {
            "location": location,
            "properties": {
                "displayName": custom_location_name(settings.body),
                "hostResourceId": appliance.id,
                "hostType": "Kubernetes",
                "namespace": str(custom_location_name(settings.body)).lower(),
                "clusterExtensionIds": [],
            },
        },
    )
    # Two clusters may share a resource group: the suffix keeps their containers apart.
    container = f"UserStorage1-{derived_guid(cluster.id, 'container')[:8]}"
    world.create(
        f"{group}/providers/{STORAGE_CONTAINER}/{container}",
        STORAGE_CONTAINER,
        {
            "location": location,
            "extendedLocation": {"type": "CustomLocation", "name": custom_location.id},
            "properties": {"path": "C:\\ClusterStorage\\UserStorage_1"},
        },
    )
    nodes = [str(node) for node in listed(settings.property("arcNodeResourceIds"))]
    details = [{"name": node.rsplit("/", 1)[1], "arcInstance": node, "state": "Connected"} for node in nodes]
    world.create(
        f"{cluster.id}/arcSettings/default",
        f"{CLUSTER}/arcSettings",
        {"properties": {"arcInstanceResourceGroup": group.rsplit("/", 1)[1]}},
        aggregateState="Connected",
        perNodeDetails=details,
    )
    cluster.manage(connectivityStatus="Connected")


class LogicalNetwork(Behaviour):
    """A network for AKS Arc and VMs."""

    def check(self, world: World, change: Change) -> None:
        """AKS Arc and the provider want at least one subnet, as a list."""
        if not listed(change.properties.get("subnets")):
            raise bad_request("InvalidRequest", "properties.subnets must be a list with at least one subnet.")


BEHAVIOURS: dict[str, Behaviour] = {
    CLUSTER.lower(): Cluster(),
    f"{CLUSTER}/deploymentSettings".lower(): Deployment(),
    "microsoft.azurestackhci/edgedevices": EdgeDevice(),
    "microsoft.azurestackhci/logicalnetworks": LogicalNetwork(),
}
