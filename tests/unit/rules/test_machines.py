"""Rules about machines. Graz has three nodes and AKS VMs of 240 GiB, the largest of 64 GiB and 16 vCPUs."""

from tests.unit.rules.cases import FLEET, GRAZ, NARVIK, Case, Cases, Edits, rule_tests

STORAGE = "- {name: storage, traffic: [Storage], adapters: [ethernet 3, ethernet 4]}"
COMPUTE = "- {name: managementcompute, traffic: [Management, Compute], adapters: [ethernet, ethernet 2]}"
NODES = "".join(f"    - {{name: graz-n{n}, ip: 10.30.1.1{n}}}\n" for n in (1, 2, 3))
WITHOUT_WITNESS = ("  witness: {storageAccount: fleetwitnessgraz}\n", "")
# One converged intent: storage shares its adapters.
CONVERGED = (f"{COMPUTE}\n      {STORAGE}\n",
             "- {name: all, traffic: [Management, Compute, Storage], adapters: [ethernet 3, ethernet 4]}\n")  # fmt: skip


def machines(*facts: str, pattern: str = "") -> list[tuple[str, str]]:
    """Graz with other machines, each told in YAML behind its name and address."""
    told = [f", {text}" if text else "" for text in facts]
    nodes = "".join(
        f"    - {{name: graz-n{n}, ip: 10.30.1.{10 + n}{text}}}\n" for n, text in enumerate(told, 1)
    )
    return [("  nodes:\n" + NODES, (f"  pattern: {pattern}\n" if pattern else "") + "  nodes:\n" + nodes)]


def graz(*facts: str, pattern: str = "") -> Edits:
    """Edits of Graz alone."""
    return {GRAZ: machines(*facts, pattern=pattern)}


def racks(first: int, second: int) -> Edits:
    """A rack-aware Graz with so many machines in two zones."""
    return graz(*["zone: a"] * first, *["zone: b"] * second, pattern="rack-aware")


NARVIK_RACKS = "".join(
    f"    - {{name: narvik-n{n}, ip: 10.40.1.1{n}, zone: {zone}}}\n" for n, zone in enumerate("aabb", 1)
)
LOW, RACK = "low-capacity", "rack-aware"
GROWS: Edits = {FLEET: [("agents: {vmSize: Standard_D8s_v3, count: 2}",
                         "agents: {vmSize: Standard_D8s_v3, count: 2, autoscale: {minCount: 2, maxCount: 4}}")]}  # fmt: skip
CASES = {
    "AZL010": Cases(
        fires=[
            Case(racks(2, 1), "sites/graz.yaml:{  nodes:} the zones are not of one size: a with 2, b with 1"),
            Case(racks(3, 0), "sites/graz.yaml:{  nodes:} 1 zone (a with 3); a rack-aware cluster has exactly 2"),
            Case(graz("zone: a", "zone: b", "zone: c", pattern=RACK),
                 "sites/graz.yaml:{  nodes:} 3 zones (a with 1, b with 1, c with 1); a rack-aware cluster has exactly 2"),
            Case(racks(5, 5), "sites/graz.yaml:{  nodes:} 5 machines a zone; a rack-aware cluster has at most 4"),
            Case(graz("zone: a", "", "", pattern=RACK),
                 ("sites/graz.yaml:{graz-n2} graz-n2 is in no zone", "sites/graz.yaml:{graz-n3} graz-n3 is in no zone")),
        ],
        near=[racks(1, 1), racks(2, 2), racks(3, 3), racks(4, 4)],
    ),
    "AZL011": Cases(
        fires=[Case(graz("", "zone: a", "zone: b"), "sites/graz.yaml:{graz-n2} graz-n2's zone a has no effect in a standard cluster"),
               Case(graz("zone: a", "", pattern=LOW), "sites/graz.yaml:{graz-n1} graz-n1's zone a has no effect in a low-capacity cluster", also=("GOV001",))],
        near=[racks(2, 2)],
    ),
    "AZL012": Cases(
        fires=[Case({GRAZ: [*machines(*["zone: a"] * 2, *["zone: b"] * 2, pattern=RACK), WITHOUT_WITNESS]},
                    "sites/graz.yaml:{pattern} a rack-aware cluster needs a cloud witness: with one", help="add 'witness:"),
               Case({NARVIK: [(NODES.replace("graz", "narvik").replace("10.30", "10.40"), NARVIK_RACKS), ("  nodes:\n", "  pattern: rack-aware\n  nodes:\n")]},
                    "sites/narvik.yaml:{pattern} a rack-aware cluster needs a cloud witness, and a disconnected site reaches none",
                    help="'pattern: standard' with three nodes or more", also=("K8S018",))],
        near=[{GRAZ: [*machines("zone: a", "zone: b", pattern=RACK), WITHOUT_WITNESS]},  # AZL005 says it
              {GRAZ: [*machines("", "", "", ""), WITHOUT_WITNESS]},
              racks(2, 2)],
    ),
    "AZL013": Cases(
        fires=[
            Case({**racks(2, 2), FLEET: [CONVERGED]},
                 "fleet.yaml:{name: all} the intent all carries Management and Compute beside Storage; a rack-aware cluster has adapters"),
            Case({**graz("", "", pattern=LOW), FLEET: [CONVERGED]}, "fleet.yaml:{name: all} the intent all carries Management and Compute",
                 also=("GOV001",)),
        ],
        near=[{FLEET: [CONVERGED]}, {**graz("", pattern=LOW), FLEET: [CONVERGED]}, racks(2, 2)],
    ),
    "AZL014": Cases(
        fires=[Case(graz("", "", "", "", pattern=LOW), "sites/graz.yaml:{  nodes:} 4 machines; a low-capacity cluster has at most 3", also=("GOV001",))],
        near=[graz("", "", "", pattern=LOW), graz("", "", "", "")],
    ),
    "AZL015": Cases(
        fires=[
            Case(graz("cores: 15", "", pattern=LOW), "sites/graz.yaml:{graz-n1} graz-n1 has 15 cores; a low-capacity machine has at most 14", also=("GOV001",)),
            Case(graz("memoryGib: 129", "memoryGib: 129", pattern=LOW),
                 ("sites/graz.yaml:{graz-n1} graz-n1 has 129 GiB; a low-capacity machine has at most 128", "sites/graz.yaml:{graz-n2} graz-n2 has 129"), also=("AZL020", "GOV001")),
        ],
        near=[graz("cores: 14, memoryGib: 128", "", pattern=LOW), graz("cores: 15, memoryGib: 129")],
    ),
    "AZL016": Cases(
        fires=[Case(graz("memoryGib: 31", ""), "sites/graz.yaml:{graz-n1} graz-n1 has 31 GiB of memory; Azure Local takes 32 or more")],
        near=[graz("memoryGib: 32", "")],
    ),
    "AZL017": Cases(
        fires=[Case(graz("dataDisks: 1", ""), "sites/graz.yaml:{graz-n1} graz-n1 has 1 data disk; a standard cluster takes 2 or more a machine"),
               Case(graz("dataDisks: 0", "", pattern=LOW), "sites/graz.yaml:{graz-n1} graz-n1 has 0 data disks; a low-capacity cluster takes 1", also=("GOV001",))],
        near=[graz("dataDisks: 2", ""), graz("dataDisks: 1", "", pattern=LOW)],
    ),
    "AZL018": Cases(
        fires=[
            Case(graz("cores: 32", "", "cores: 24"), "sites/graz.yaml:{graz-n3} graz-n3 has 24 cores, graz-n1 has 32"),
            Case(graz("memoryGib: 512, dataDisks: 4", "memoryGib: 256, dataDisks: 6", "memoryGib: 512, dataDisks: 4"),
                 ("sites/graz.yaml:{graz-n2} graz-n2 has 256 GiB of memory, graz-n1 has 512",
                  "sites/graz.yaml:{graz-n2} graz-n2 has 6 data disks, graz-n1 has 4")),
        ],
        near=[graz("cores: 32, memoryGib: 512, dataDisks: 4", "", "cores: 32, memoryGib: 512, dataDisks: 4")],
    ),
    "AZL019": Cases(
        fires=[Case(graz(*["memoryGib: 80"] * 3),
                    "fleet.yaml:{gpu-cluster: > nodePools:} the cluster's VMs take 240 GiB of memory; the machines have 240 GiB"),
               Case({NARVIK: [("narvik-n1, ip: 10.40.1.11", "narvik-n1, ip: 10.40.1.11, memoryGib: 32"),
                              ("    - {name: narvik-n2, ip: 10.40.1.12}\n    - {name: narvik-n3, ip: 10.40.1.13}\n", "")],
                     FLEET: [("inference: {vmSize: Standard_D8s_v3, count: 1}\n    registry", "inference: {vmSize: Standard_D4s_v3, count: 1}\n    registry")]},
                    "fleet.yaml:{offshore: > nodePools:} the cluster's VMs take 40 GiB of memory; the machines have 32 GiB")],
        near=[graz("memoryGib: 81", "memoryGib: 80", "memoryGib: 80"), {**graz(*["memoryGib: 120"] * 3), **GROWS}, graz("memoryGib: 80", "memoryGib: 80", "")],
    ),
    "AZL020": Cases(
        fires=[Case(graz(*["memoryGib: 120"] * 3),
                    "fleet.yaml:{gpu-cluster: > nodePools:} with one machine down 240 GiB of memory are left; the cluster's VMs take 240 GiB"),
               # two more VMs of 32 GiB; also where the machines have no room for them at all
               Case({**graz(*["memoryGib: 150"] * 3), **GROWS},
                    "fleet.yaml:{gpu-cluster: > nodePools:} with one machine down 300 GiB of memory are left; "
                    "the cluster's VMs take 304 GiB when the autoscalers have added all that they may"),
               Case({**graz(*["memoryGib: 100"] * 3), **GROWS}, "fleet.yaml:{gpu-cluster: > nodePools:} with one machine down 200 GiB")],
        near=[{**graz(*["memoryGib: 153"] * 3), **GROWS}, graz(*["memoryGib: 121"] * 3), graz("memoryGib: 512"), graz("memoryGib: 120", "memoryGib: 120", "")],
    ),
    "AZL021": Cases(
        fires=[
            Case(graz(*["memoryGib: 64"] * 5), "fleet.yaml:{Standard_NC16_L4_1} Standard_NC16_L4_1 has 64 GiB; the largest machine has 64 GiB"),
            Case(graz("cores: 7", "cores: 7"), "fleet.yaml:{Standard_NC16_L4_1} Standard_NC16_L4_1 has 16 vCPUs; the largest machine has 14 threads"),
        ],
        near=[graz("memoryGib: 65", *["memoryGib: 64"] * 4), graz("cores: 8", "cores: 8"), graz("cores: 7", "")],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
