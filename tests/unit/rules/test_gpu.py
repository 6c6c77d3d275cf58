"""Rules about GPUs. Graz has three nodes with two L4 each, and a pool of two VMs with one GPU each."""

from tests.unit.rules.cases import FLEET, Case, Cases, rule_tests

POOL = "inference: {vmSize: Standard_NC16_L4_1, count: 2, gpu: true}"
PLAIN_POOL = "inference: {vmSize: Standard_D8s_v3, count: 1}"
GPU = "gpu: {model: L4, perNode: 2, sharing: none}"
SCALED = ", gpu: true, autoscale: {minCount: 1, maxCount: %d}"
ONE = "not every machine has 1 GPU spare to upgrade the node pool 'inference'"


def pool(size: str, count: int = 2, gpu: str = ", gpu: true", more: str = "") -> tuple[str, str]:
    """The GPU pool with another VM size and count, without `gpu: true`, or with another pool after it."""
    return (POOL, f"inference: {{vmSize: {size}, count: {count}{gpu}}}{more}")


def gpu(model: str = "L4", per_node: int = 2, sharing: str = "none") -> tuple[str, str]:
    """Other GPUs in each node."""
    return (GPU, f"gpu: {{model: {model}, perNode: {per_node}, sharing: {sharing}}}")


CASES = {
    "GPU001": Cases(
        fires=[
            Case({FLEET: [pool("Standard_D8s_v3")]},
                 "fleet.yaml:{count: 2, gpu: true} Standard_D8s_v3 carries no GPU; the site's GPU is L4",
                 help="one of Standard_NC16_L4_1, Standard_NC16_L4_2, Standard_NC32_L4_1, Standard_NC32_L4_2"),
            Case({FLEET: [pool("Standard_NC16_L40_1")]},
                 "fleet.yaml:{Standard_NC16_L40_1} Standard_NC16_L40_1 carries L40; the site's GPU is L4"),
            Case({FLEET: [pool("Standard_NC16_L4_3")]},
                 "fleet.yaml:{Standard_NC16_L4_3} there is no VM size 'Standard_NC16_L4_3'", help="did you mean 'Standard_NC16_L4_"),
            Case({FLEET: [pool("Standard_NC99_A2")]},  # of the sizes with the site's GPU
                 "fleet.yaml:{Standard_NC99_A2} there is no VM size 'Standard_NC99_A2'", help="did you mean 'Standard_NC16_L4_"),
            Case({FLEET: [(PLAIN_POOL, "inference: {vmSize: Standard_D9s_v3, count: 1}")]},
                 "fleet.yaml:{Standard_D9s_v3} there is no VM size 'Standard_D9s_v3'", help="did you mean 'Standard_D"),
            Case({FLEET: [pool("Standard_NC16_L4_1", gpu="")]},
                 "fleet.yaml:{Standard_NC16_L4_1} Standard_NC16_L4_1 carries a L4 that the node pool 'inference' does not ask for",
                 also=("INF001",)),
            Case({FLEET: [(PLAIN_POOL, "inference: {vmSize: Standard_NC16_A2, count: 1}")]},  # a site without GPUs
                 "fleet.yaml:{Standard_NC16_A2} Standard_NC16_A2 carries a A2 that the node pool 'inference' does not ask for"),
            Case({FLEET: [(f"    {GPU}\n", "")]},
                 "fleet.yaml:{gpu: true} the node pool 'inference' asks for a GPU at a site that has none", also=("GOV002",)),
            Case({FLEET: [gpu("H100")]},
                 "fleet.yaml:{model: H100} AKS on Azure Local has no VM size with the GPU 'H100'", also=("GOV002",)),
        ],
        near=[
            {FLEET: [pool("Standard_NC32_L4_2")]},
            {FLEET: [gpu("L40"), pool("Standard_NC16_L40_1")]},
            {FLEET: [(PLAIN_POOL, "inference: {vmSize: Standard_D16s_v3, count: 1}")]},
        ],
    ),
    "GPU002": Cases(
        fires=[
            Case({FLEET: [pool("Standard_NC16_L4_1", 7)]},
                 "fleet.yaml:{perNode} the node pools take 7 GPUs; the site has 6"),
            Case({FLEET: [pool("Standard_NC16_L4_2", 4)]},
                 "fleet.yaml:{perNode} the node pools take 8 GPUs; the site has 6"),
            Case({FLEET: [gpu(per_node=1), pool("Standard_NC16_L4_1", 3, more="\n        more: {vmSize: Standard_NC16_L4_1, count: 1, gpu: true}")]},
                 "fleet.yaml:{perNode} the node pools take 4 GPUs; the site has 3"),
            Case({FLEET: [pool("Standard_NC16_L4_1", 7, gpu=SCALED % 9)]}, "fleet.yaml:{perNode} the node pools take 7 GPUs; the site has 6"),
            # the GPUs of a VM are of one machine
            Case({FLEET: [gpu(per_node=1), pool("Standard_NC16_L4_2", 1)]},
                 "fleet.yaml:{Standard_NC16_L4_2} a Standard_NC16_L4_2 takes 2 GPUs of one machine; a machine has 1"),
            Case({FLEET: [gpu(per_node=3), pool("Standard_NC16_L4_2", 4)]},
                 "fleet.yaml:{perNode} 4 VMs with GPUs do not go on 3 machines with 3 each"),
        ],
        near=[
            {FLEET: [gpu(per_node=3), pool("Standard_NC16_L4_2", 3, more="\n        more: {vmSize: Standard_NC16_L4_1, count: 3, gpu: true}")]},
            {FLEET: [pool("Standard_NC16_L4_1", gpu=SCALED % 7)]},  # an autoscaler need not get all that it may take
            {FLEET: [pool("Standard_NC16_L4_1", 6)]},
            {FLEET: [pool("Standard_NC16_L4_2", 3)]},
            {FLEET: [gpu(per_node=1), pool("Standard_NC16_L4_1", 3)]},
            {FLEET: [pool("Standard_NC16_L4_1", 7, gpu="")]},  # GPU001 has said that it asks for none
        ],
    ),
    "GPU003": Cases(
        fires=[
            Case({FLEET: [pool("Standard_NC16_L4_1", 4)]}, f"fleet.yaml:{{count: 4,}} {ONE}: without, an upgrade hangs"),
            Case({FLEET: [gpu(per_node=3), pool("Standard_NC16_L4_2", 1)]},
                 "fleet.yaml:{Standard_NC16_L4_2} not every machine has 2 GPUs spare to upgrade the node pool 'inference'"),
            # one of each is spare: enough for the pool of one-GPU VMs, and not for that of two-GPU VMs
            Case({FLEET: [gpu(per_node=3), pool("Standard_NC16_L4_2", 2, more="\n        more: {vmSize: Standard_NC16_L4_1, count: 2, gpu: true}")]},
                 "fleet.yaml:{Standard_NC16_L4_2} not every machine has 2 GPUs spare to upgrade the node pool 'inference'"),
            # a pool that does not ask for its GPU has nothing to upgrade
            Case({FLEET: [pool("Standard_NC16_L4_1", 4, more="\n        more: {vmSize: Standard_NC16_L4_1, count: 1}")]},
                 f"fleet.yaml:{{count: 4,}} {ONE}", also=("GPU001",)),
            Case({FLEET: [pool("Standard_NC16_L4_1", gpu=SCALED % 4)]},
                 f"fleet.yaml:{{count: 2, gpu: true}} {ONE}, when the autoscalers have added all that they may: without"),
            Case({FLEET: [pool("Standard_NC16_L4_1", gpu=SCALED % 7)]}, f"fleet.yaml:{{count: 2, gpu: true}} {ONE}, when the autoscalers"),
        ],
        near=[
            {FLEET: [pool("Standard_NC16_L4_1", 3)]},
            {FLEET: [gpu(per_node=4), pool("Standard_NC16_L4_2", 3)]},
            {FLEET: [pool("Standard_NC16_L4_1", gpu=SCALED % 3)]},
            {FLEET: [pool("Standard_NC16_L4_1", 7)]},  # too many already, says GPU002
        ],
    ),
    "GPU004": Cases(
        fires=[
            Case({FLEET: [gpu(sharing="mig")]}, "fleet.yaml:{sharing: mig} a L4 can't be cut into MIG instances", also=("GPU018",)),
        ],
        near=[
            {FLEET: [gpu("RTX6000Pro", sharing="mig"), pool("Standard_NC16_RTX6000Pro_1")]},
            {FLEET: [gpu(sharing="time-slicing")]},
            {FLEET: [gpu("H100", sharing="mig")]},  # no GPU of ours, says GPU001
        ],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
