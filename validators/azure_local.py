"""Rules about the Azure Local cluster."""

from collections import Counter
from collections.abc import Iterator

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule

WITHOUT_WITNESS = "have three nodes or more: two can't tell who goes on"
WITHOUT_RACKS = "'pattern: standard' with three nodes or more: zones need a witness"
"""What is left to a disconnected site: a cloud witness is a storage account in Azure (facts 1.2, row 5)."""


def _cluster_name(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    for node in local.nodes:
        if node.name.lower() == local.cluster_name.lower():
            yield Finding(
                ("azureLocal", "clusterName"),
                f"the cluster and a node are both named {local.cluster_name}",
                "rename the cluster",
            )


def _node_names(site: Site, _: Inventory) -> Iterator[Finding]:
    seen: set[str] = set()
    for number, node in enumerate(site.spec.azure_local.nodes):
        if node.name.lower() in seen:
            yield Finding(
                ("azureLocal", "nodes", number, "name"),
                f"two nodes are named {node.name}",
                "rename one of them",
            )
        seen.add(node.name.lower())


def _intents(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    count: Counter[str] = Counter(kind for intent in local.intents for kind in set(intent.traffic))
    wanted = ["Management", "Compute", *(["Storage"] if len(local.nodes) > 1 else [])]
    for kind in wanted:
        if count[kind] == 0:
            yield Finding(
                ("azureLocal", "intents"),
                f"no intent carries {kind} traffic",
                f"add {kind} to an intent's 'traffic'",
            )
    for kind in ("Management", "Storage"):  # Network ATC takes any number for Compute
        if count[kind] > 1:
            yield Finding(
                ("azureLocal", "intents"), f"{count[kind]} intents carry {kind} traffic", "only one may"
            )


def _adapters(site: Site, _: Inventory) -> Iterator[Finding]:
    owner: dict[str, str] = {}
    for number, intent in enumerate(site.spec.azure_local.intents):
        for index, adapter in enumerate(intent.adapters):
            if adapter in owner:
                yield Finding(
                    ("azureLocal", "intents", number, "adapters", index),
                    f"the adapter {adapter!r} is in the intents {owner[adapter]} and {intent.name}",
                    "an adapter belongs to one intent",
                )
            owner.setdefault(adapter, intent.name)


def _witness(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    if len(local.nodes) != 2 or local.witness is not None:  # one that is out of reach: ARC005
        return
    if site.spec.connectivity.mode == "disconnected":
        rack_aware = local.pattern == "rack-aware"
        message = "a cluster of two nodes needs a witness, and a disconnected site reaches none"
        yield Finding(("azureLocal", "nodes"), message, WITHOUT_RACKS if rack_aware else WITHOUT_WITNESS)
    else:
        message = "a cluster of two nodes needs a witness"
        yield Finding(("azureLocal", "nodes"), message, "add 'witness: {storageAccount: …}'")


def _storage_networks(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    storage = {
        adapter for intent in local.intents if "Storage" in intent.traffic for adapter in intent.adapters
    }
    vlans: dict[int, str] = {}
    for number, network in enumerate(local.storage_networks):
        path = ("azureLocal", "storageNetworks", number)
        if network.adapter not in storage:
            yield Finding(
                (*path, "adapter"),
                f"the storage network {network.name} uses {network.adapter!r}, which no Storage intent has",
                f"one of {', '.join(sorted(storage))}" if storage else "add an intent with Storage traffic",
            )
        if network.vlan in vlans:
            yield Finding(
                (*path, "vlan"),
                f"the storage networks {vlans[network.vlan]} and {network.name} share VLAN {network.vlan}",
                "give each its own",
            )
        vlans.setdefault(network.vlan, network.name)


def _identity(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    if local.identity_provider == "ActiveDirectory" and not local.ou_path:
        yield Finding(
            ("azureLocal", "identityProvider"),
            "Active Directory needs an organisational unit",
            "add 'ouPath: OU=…,DC=…'",
        )
    elif local.identity_provider == "ActiveDirectory" and not local.ou_path.upper().startswith("OU="):
        yield Finding(
            ("azureLocal", "ouPath"),
            f"{local.ou_path!r} is no organisational unit",
            "such as OU=Graz,DC=factory,DC=example",
        )
    elif local.identity_provider == "LocalIdentity" and local.ou_path:
        yield Finding(
            ("azureLocal", "ouPath"), "a local identity has no organisational unit", "remove 'ouPath'"
        )


def _topology(site: Site, _: Inventory) -> Iterator[Finding]:
    nodes = len(site.spec.azure_local.nodes)
    if site.spec.topology == "pilot-node" and nodes != 1:
        yield Finding(
            ("topology",),
            f"a pilot node is one machine; the site has {nodes}",
            "'topology: datacenter-cluster'",
        )
    if site.spec.topology == "datacenter-cluster" and nodes == 1:
        yield Finding(
            ("topology",), "a cluster has two machines or more; the site has one", "'topology: pilot-node'"
        )


def _switchless(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    nodes = len(local.nodes)
    yield from _storage_addresses(site)
    if not local.switchless:
        return
    if nodes > 3:
        yield Finding(
            ("azureLocal", "switchless"),
            f"switchless storage is described for two and for three nodes; the site has {nodes}",
            "'switchless: false'",
        )
    adapters = Counter(network.adapter for network in local.storage_networks)
    for number, network in enumerate(local.storage_networks):
        if adapters[network.adapter] > 1:
            yield Finding(
                ("azureLocal", "storageNetworks", number, "adapter"),
                f"{network.adapter!r} carries {adapters[network.adapter]} storage VLANs",
                "switchless storage takes exactly one VLAN an adapter",
            )
    for number, intent in enumerate(local.intents):
        for index, adapter in enumerate(intent.adapters):
            if "Storage" in intent.traffic and nodes == 2 and adapter not in adapters:
                yield Finding(
                    ("azureLocal", "intents", number, "adapters", index),
                    f"{adapter!r} carries no storage VLAN",
                    "switchless storage takes exactly one VLAN an adapter: add it to storageNetworks",
                )


def _storage_addresses(site: Site) -> Iterator[Finding]:
    """Three nodes without a switch need an address for each link, and no others take any (facts 1.4)."""
    local = site.spec.azure_local
    names = [node.name for node in local.nodes]
    needed = local.switchless and len(names) == 3
    for number, network in enumerate(local.storage_networks):
        path = ("azureLocal", "storageNetworks", number)
        given = [address.node for address in network.addresses]
        if needed and sorted(given) != sorted(names):
            yield Finding(
                path,
                f"{network.name}: switchless storage between 3 nodes needs an address of each node",
                f"'addresses: [{{node: {names[0]}, ip: …}}, …]', or 'switchless: false'",
            )
        elif given and not needed:
            yield Finding(
                (*path, "addresses"),
                "addresses of storage adapters are for three nodes without a switch",
                "leave them out: Azure Local chooses them",
            )


RULES = (
    Rule(
        code="AZL001",
        summary="the cluster's name is no node's name",
        source="facts 1.7",
        check_site=_cluster_name,
    ),
    Rule(
        code="AZL002",
        summary="nodes have names of their own",
        source="facts 1.4, physicalNodes",
        check_site=_node_names,
    ),
    Rule(
        code="AZL003",
        summary="each kind of traffic has an intent, management and storage only one",
        source="facts 1.4, hostNetwork; 1.8 (single node: no storage); Network ATC (compute: several)",
        check_site=_intents,
    ),
    Rule(
        code="AZL004",
        summary="an adapter belongs to one intent",
        source="facts 1.4, hostNetwork",
        check_site=_adapters,
    ),
    Rule(
        code="AZL005",
        summary="a cluster of two nodes has a witness",
        source="facts 1.2, row 5; 1.10",
        check_site=_witness,
    ),
    Rule(
        code="AZL006",
        summary="storage networks use storage adapters, each with a VLAN of its own",
        source="facts 1.4, storageNetworks",
        check_site=_storage_networks,
    ),
    Rule(
        code="AZL007",
        summary="the identity provider and the organisational unit agree",
        source="facts 1.2, row 0; 1.4",
        check_site=_identity,
    ),
    Rule(
        code="AZL008",
        summary="the topology agrees with the number of machines",
        source="requirements A1, A9",
        check_site=_topology,
    ),
    Rule(
        code="AZL009",
        summary="switchless storage is described completely",
        source="facts 1.4, 1.7",
        check_site=_switchless,
    ),
)
