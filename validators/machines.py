"""Rules about the machines of a cluster: their classes, their zones, and what runs on them."""

from collections import Counter
from collections.abc import Callable, Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.source import Path
from fleet.model.azure_local import AzureLocal
from fleet.model.kubernetes import NodePool

from .azure_local import WITHOUT_RACKS
from .shares import most_nodes

NODES: Path = ("azureLocal", "nodes")


def _zones(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    if local.pattern != "rack-aware":
        return
    facts = catalog.azure_local()
    loose = [number for number, node in enumerate(local.nodes) if node.zone is None]
    for number in loose:
        yield Finding(
            (*NODES, number),
            f"{local.nodes[number].name} is in no zone of the rack-aware cluster",
            "add 'zone: …', the room or rack that it stands in",
        )
    if loose:
        return
    sizes = Counter(node.zone for node in local.nodes)
    shown = ", ".join(f"{zone} with {number}" for zone, number in sorted(sizes.items(), key=str))
    if len(sizes) != facts.rack_aware_zones:
        yield Finding(
            NODES,
            f"{len(sizes)} zone{'s' if len(sizes) > 1 else ''} ({shown}); "
            f"a rack-aware cluster has exactly {facts.rack_aware_zones}",
            "use two",
        )
    elif len(set(sizes.values())) != 1:
        yield Finding(
            NODES,
            f"the zones are not of one size: {shown}",
            "a rack-aware cluster is 1+1, 2+2, 3+3 or 4+4 machines",
        )
    elif max(sizes.values()) > facts.rack_aware_machines_per_zone_max:
        yield Finding(
            NODES,
            f"{max(sizes.values())} machines a zone; a rack-aware cluster has at most "
            f"{facts.rack_aware_machines_per_zone_max}",
            "make it two clusters",
        )


def _zones_without_pattern(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    if local.pattern == "rack-aware":
        return
    for number, node in enumerate(local.nodes):
        if node.zone is not None:
            yield Finding(
                (*NODES, number, "zone"),
                f"{node.name}'s zone {node.zone} has no effect in a {local.pattern} cluster",
                "'pattern: rack-aware', which can't be chosen later, or remove it",
            )
            return


def _rack_aware_witness(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    # With two machines AZL005 says it.
    if local.pattern == "rack-aware" and local.witness is None and len(local.nodes) != 2:
        disconnected = site.spec.connectivity.mode == "disconnected"
        yield Finding(
            ("azureLocal", "pattern"),
            "a rack-aware cluster needs a cloud witness"
            + (
                ", and a disconnected site reaches none"
                if disconnected
                else ": with one zone down the rest is no majority"
            ),
            WITHOUT_RACKS if disconnected else "add 'witness: {storageAccount: …}'",
        )


def _dedicated_storage(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    if local.pattern == "standard" or len(local.nodes) < 2:
        return
    for number, intent in enumerate(local.intents):
        others = [kind for kind in intent.traffic if kind != "Storage"]
        if others and len(others) < len(intent.traffic):
            yield Finding(
                ("azureLocal", "intents", number, "traffic"),
                f"the intent {intent.name} carries {' and '.join(others)} beside Storage; "
                f"a {local.pattern} cluster has adapters for storage alone",
                "give Storage an intent of its own, with its own adapters",
            )


def _low_capacity_machines(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    most = catalog.azure_local().low_capacity_machines_max
    if local.pattern == "low-capacity" and len(local.nodes) > most:
        yield Finding(
            NODES,
            f"{len(local.nodes)} machines; a low-capacity cluster has at most {most}",
            "'pattern: standard', with machines of that class",
        )


def _low_capacity_size(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    if local.pattern != "low-capacity":
        return
    facts = catalog.azure_local()
    for number, node in enumerate(local.nodes):
        for key, value, most, unit in (
            ("cores", node.cores, facts.low_capacity_cores_max, "cores"),
            ("memoryGib", node.memory_gib, facts.low_capacity_memory_gib_max, "GiB"),
        ):
            if value is not None and value > most:
                yield Finding(
                    (*NODES, number, key),
                    f"{node.name} has {value} {unit}; a low-capacity machine has at most {most}",
                    "'pattern: standard'",
                )


def _memory(site: Site, _: Inventory) -> Iterator[Finding]:
    least = catalog.azure_local().memory_gib_min
    for number, node in enumerate(site.spec.azure_local.nodes):
        if node.memory_gib is not None and node.memory_gib < least:
            yield Finding(
                (*NODES, number, "memoryGib"),
                f"{node.name} has {node.memory_gib} GiB of memory; Azure Local takes {least} or more",
                "use a machine with more",
            )


def _data_disks(site: Site, _: Inventory) -> Iterator[Finding]:
    local, facts = site.spec.azure_local, catalog.azure_local()
    small = local.pattern == "low-capacity"
    least = facts.low_capacity_data_disks_min if small else facts.data_disks_min
    for number, node in enumerate(local.nodes):
        if node.data_disks is not None and node.data_disks < least:
            yield Finding(
                (*NODES, number, "dataDisks"),
                f"{node.name} has {node.data_disks} data disk{'' if node.data_disks == 1 else 's'}; "
                f"a {local.pattern} cluster takes {least} or more a machine",
                "count the drives beside the boot drive",
            )


def _alike(site: Site, _: Inventory) -> Iterator[Finding]:
    nodes = site.spec.azure_local.nodes
    if all(node.cores is node.memory_gib is node.data_disks is None for node in nodes):
        return
    for key, unit, values in (
        ("cores", "cores", [node.cores for node in nodes]),
        ("memoryGib", "GiB of memory", [node.memory_gib for node in nodes]),
        ("dataDisks", "data disks", [node.data_disks for node in nodes]),
    ):
        known = [(number, value) for number, value in enumerate(values) if value is not None]
        other = next(((number, value) for number, value in known if value != known[0][1]), None)
        if other is not None:
            first, (number, value) = known[0], other
            yield Finding(
                (*NODES, number, key),
                f"{nodes[number].name} has {value} {unit}, {nodes[first[0]].name} has {first[1]}",
                "Azure Local takes machines of one model, with the same adapters and drives",
            )


def _memory_of_machines(local: AzureLocal) -> list[int] | None:
    """GiB of each machine; None unless all are said."""
    known = [node.memory_gib for node in local.nodes if node.memory_gib is not None]
    return known if len(known) == len(local.nodes) else None


def _memory_of_vms(site: Site, nodes: Callable[[NodePool], int]) -> int | None:
    """GiB of all VMs of the AKS cluster, with so many nodes in a pool; None when a size is not known."""
    sizes, kubernetes = catalog.vm_sizes(), site.spec.kubernetes
    vms: list[tuple[str, int]] = [(kubernetes.control_plane.vm_size, kubernetes.control_plane.count)]
    vms += [(pool.vm_size, nodes(pool)) for pool in kubernetes.node_pools.values()]
    if any(name not in sizes for name, _count in vms):
        return None
    return sum(sizes[name].memory_gib * count for name, count in vms)


def _vms_fit(site: Site, _: Inventory) -> Iterator[Finding]:
    machines = _memory_of_machines(site.spec.azure_local)
    need = _memory_of_vms(site, lambda pool: pool.count) if machines else None
    if machines and need is not None and need >= sum(machines):
        yield Finding(
            ("kubernetes", "nodePools"),
            f"the cluster's VMs take {need} GiB of memory; the machines have {sum(machines)} GiB, "
            "also for themselves",
            "take fewer or smaller VMs",
        )


def _vms_fit_without_one(site: Site, _: Inventory) -> Iterator[Finding]:
    machines = _memory_of_machines(site.spec.azure_local)
    if machines is None or len(machines) < 2:
        return
    at_first, need = _memory_of_vms(site, lambda pool: pool.count), _memory_of_vms(site, most_nodes)
    left = sum(machines) - max(machines)
    if at_first is None or need is None or at_first >= sum(machines):
        return  # of those that are there from the start AZL019 says it
    if left <= need:
        grown = " when the autoscalers have added all that they may" if need > at_first else ""
        yield Finding(
            ("kubernetes", "nodePools"),
            f"with one machine down {left} GiB of memory are left; the cluster's VMs take {need} GiB{grown}",
            "take fewer or smaller VMs, or more memory: machines are also down while they are updated",
        )


def _vm_fits_machine(site: Site, _: Inventory) -> Iterator[Finding]:
    local, sizes = site.spec.azure_local, catalog.vm_sizes()
    memory = _memory_of_machines(local)
    known = [node.cores for node in local.nodes if node.cores is not None]
    threads = max(known) * catalog.azure_local().threads_per_core if len(known) == len(local.nodes) else None
    if memory is None and threads is None:
        return
    for name, pool in site.spec.kubernetes.node_pools.items():
        size, path = sizes.get(pool.vm_size), ("kubernetes", "nodePools", name, "vmSize")
        if size is None:
            continue
        if memory is not None and size.memory_gib >= max(memory):
            yield Finding(
                path,
                f"{size.name} has {size.memory_gib} GiB; the largest machine has {max(memory)} GiB, "
                "also for itself",
                "choose a smaller size",
            )
        elif threads is not None and size.vcpus > threads:
            yield Finding(
                path,
                f"{size.name} has {size.vcpus} vCPUs; the largest machine has {threads} threads",
                "choose a smaller size",
            )


RULES = (
    Rule(
        code="AZL010",
        summary="a rack-aware cluster has two zones of the same size",
        source="facts 1.8 (rack-aware)",
        check_site=_zones,
    ),
    Rule(
        code="AZL011",
        summary="only machines of a rack-aware cluster have zones",
        source="facts 1.4, localAvailabilityZones",
        severity="warning",
        check_site=_zones_without_pattern,
    ),
    Rule(
        code="AZL012",
        summary="a rack-aware cluster has a witness",
        source="facts 1.2, row 5; 1.8",
        check_site=_rack_aware_witness,
    ),
    Rule(
        code="AZL013",
        summary="rack-aware and low-capacity clusters have adapters for storage alone",
        source="facts 1.8",
        check_site=_dedicated_storage,
    ),
    Rule(
        code="AZL014",
        summary="a low-capacity cluster has one to three machines",
        source="facts 1.8 (low capacity)",
        check_site=_low_capacity_machines,
    ),
    Rule(
        code="AZL015",
        summary="low-capacity machines keep to the limits of their class",
        source="facts 1.8 (low capacity)",
        check_site=_low_capacity_size,
    ),
    Rule(
        code="AZL016",
        summary="a machine has the memory that Azure Local takes",
        source="facts 1.8",
        check_site=_memory,
    ),
    Rule(
        code="AZL017",
        summary="a machine has the data disks that its class takes",
        source="facts 1.8",
        check_site=_data_disks,
    ),
    Rule(
        code="AZL018",
        summary="the machines of a cluster are alike",
        source="facts 1.8 (same model, adapters and drives)",
        severity="warning",
        check_site=_alike,
    ),
    Rule(
        code="AZL019",
        summary="the cluster's VMs fit into the machines' memory",
        source="facts 1.9 (VM sizes)",
        check_site=_vms_fit,
    ),
    Rule(
        code="AZL020",
        summary="the cluster's VMs still fit with one machine down",
        source="facts 1.9 (VM sizes); requirement M12",
        severity="warning",
        check_site=_vms_fit_without_one,
    ),
    Rule(
        code="AZL021",
        summary="no node's VM is larger than the machines",
        source="facts 1.9 (VM sizes); Hyper-V: a VM has no more virtual processors than its host has threads",
        check_site=_vm_fits_machine,
    ),
)
