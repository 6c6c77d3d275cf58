"""Rules about KAI and its queues. Graz takes two GPUs, in two VMs with one L4 each, from the queue `chat`."""

from tests.unit.rules.cases import FLEET, Case, Cases, Edits, rule_tests

GPU = "gpu: {model: L4, perNode: 2, sharing: none}"
CHAT = "        gpus: 1\n        replicas: 2\n"
REGISTRY = (
    "registry: {storageGib: 500}",
    "registry: {storageGib: 500, upstreams: [{host: nvcr.io}, {host: registry.k8s.io}, {host: ghcr.io}]}",
)
ALL = "cpuQuota: -1, memoryQuotaMb: -1"
QUEUE = f"chat: {{gpuQuota: 2, {ALL}}}"
PLANT = f"plant: {{gpuQuota: 2, {ALL}}}"
UNDER = f"chat: {{parent: plant, gpuQuota: 2, {ALL}}}"


def kai(*queues: str, more: str = "", chat: str = "queue: chat") -> Edits:
    """Graz with KAI and these queues, more about KAI, and more about its deployment."""
    lines = "".join(
        f"        {line}\n"
        for line in (
            "kai:",
            *(f"  {m}" for m in more.split("; ") if m),
            "  queues:",
            *(f"    {q}" for q in queues),
        )
    )
    text = f"gpu:\n      model: L4\n      perNode: 2\n{lines}".replace("        kai:", "      kai:")
    return {
        FLEET: [
            (GPU, text.rstrip("\n")),
            (CHAT, CHAT + "".join(f"        {c}\n" for c in chat.split("; "))),
            REGISTRY,
        ]
    }


def kubernetes(version: str, edits: Edits) -> Edits:
    """The same on another Kubernetes."""
    return {FLEET: [*edits[FLEET], ("version: 1.30.4", f"version: {version}")]}


def quota(text: str, chat: str = "queue: chat") -> Edits:
    """Other quotas and limits of the one queue."""
    return kai(f"chat: {{{text}}}", chat=chat)


def cut(text: str, profile: str, edits: Edits) -> Edits:
    """The same with RTX Pro 6000 in MIG instances, each profile a resource of its own."""
    pool = "inference: {vmSize: Standard_NC16_L4_1, count: 2, gpu: true}"
    mig = f"mig: {{strategy: mixed, profiles: {{{text}}}}}"
    return {FLEET: [
        *edits[FLEET],
        ("model: L4\n      perNode: 2\n", "model: RTX6000Pro\n      perNode: 2\n      sharing: mig\n      operator: {version: v26.7.0, devicePlugin: true}\n"),
        ("component: gpu-l4", "component: gpu-rtx6000pro"),
        (pool, f"inference: {{vmSize: Standard_NC16_RTX6000Pro_1, count: 2, gpu: true, {mig}}}"),
        (CHAT, CHAT + f"        migProfile: {profile}\n"),
    ]}  # fmt: skip


FOUNDRY = ("        runtime: vllm\n", "        runtime: foundry-local-azure-local\n")
ACCEPTED = 'by: platform-team, date: "2026-09-01"}'
AZURE = (
    "      - {component: gpu-l4",
    f"      - {{component: foundry-local-azure-local, {ACCEPTED}\n      - {{component: gpu-l4",
)

GROWS = (
    "count: 2, gpu: true}",
    "count: 2, gpu: true, autoscale: {minCount: 2, maxCount: 3}}",
)
CASES = {
    "KAI001": Cases(
        fires=[
            Case(kai(QUEUE, more="version: v0.20.0"), "fleet.yaml:{version: v0.20.0} v0.20.0 of KAI was retracted"),
            Case(kai(QUEUE, more="version: v0.20.2"), "fleet.yaml:{version: v0.20.2} v0.20.2 of KAI was retracted"),
        ],
        near=[kai(QUEUE, more="version: v0.18.1"), kai(QUEUE, more="version: v0.16.8")],
    ),
    "KAI002": Cases(
        fires=[Case(kai(QUEUE, more="version: v0.17.0"), "fleet.yaml:{v0.17.0} v0.17.0 of KAI is supported only until the next minor")],
        near=[
            kai(QUEUE, more="version: v0.16.8"),
            {FLEET: [*kai(QUEUE, more="version: v0.17.0")[FLEET], ("environment: prod", "environment: test")]},
        ],
    ),
    "KAI003": Cases(
        fires=[
            Case(kai(QUEUE, more="version: v0.14.2"), "fleet.yaml:{v0.14.2} KAI v0.14.2 was validated with Kubernetes 1.31 to 1.35; the cluster has 1.30.4"),
            Case(kubernetes("1.36.1", kai(QUEUE, more="version: v0.14.2")), "fleet.yaml:{v0.14.2} KAI v0.14.2 was validated with Kubernetes 1.31 to 1.35"),
            Case(kai(QUEUE, more="version: v0.30.0"), "fleet.yaml:{v0.30.0} with which Kubernetes KAI v0.30 was validated is not known here",
                 help="a version of v0.14, v0.15, v0.16, v0.17"),
            Case(kai(QUEUE, more="version: v0.5.0"), "fleet.yaml:{v0.5.0} with which Kubernetes KAI v0.5 was validated is not known here", also=("KAI002",)),
        ],
        near=[
            kubernetes("1.31.6", kai(QUEUE, more="version: v0.14.2")),
            kubernetes("1.35.0", kai(QUEUE, more="version: v0.14.2")),
            kai(QUEUE, more="version: v0.16.8"),
            kai(QUEUE, more="version: v0.20.0"),  # retracted, says KAI001
        ],
    ),
    "KAI004": Cases(
        fires=[Case(kai(PLANT, UNDER.replace("parent: plant", "parent: plants")), "fleet.yaml:{parent: plants} the queue 'chat' is under 'plants', which the site does not have",
                    help="did you mean 'plant'", also=("KAI014",))],
        near=[kai(PLANT, UNDER), kai(QUEUE)],
    ),
    "KAI005": Cases(
        fires=[
            Case(kai(PLANT.replace("{", "{parent: chat, "), UNDER),
                 ("fleet.yaml:{parent: chat} the queue 'plant' is above itself", "fleet.yaml:{parent: plant} the queue 'chat' is above itself"), also=("KAI007",)),
            Case(kai(UNDER.replace("parent: plant", "parent: chat")), "fleet.yaml:{parent: chat} the queue 'chat' is above itself", also=("KAI007",)),
        ],
        near=[kai(PLANT, UNDER)],
    ),
    "KAI006": Cases(
        fires=[
            Case(kai(QUEUE, chat="queue: chats"), "fleet.yaml:{queue: chats} chat waits in the queue 'chats', which the site does not have", help="did you mean 'chat'",
                 also=("KAI014",)),
            Case({FLEET: [(CHAT, CHAT + "        queue: chat\n")]}, "fleet.yaml:{queue: chat} chat waits in the queue 'chat' at a site without KAI"),
        ],
        near=[kai(QUEUE)],
    ),
    "KAI007": Cases(
        fires=[Case(kai(PLANT, UNDER, chat="queue: plant"), "fleet.yaml:{queue: plant} the queue 'plant' has queues under it", help="one of those under it: chat", also=("KAI014",))],
        near=[kai(PLANT, UNDER), kai(PLANT, chat="queue: plant")],
    ),
    "KAI008": Cases(
        fires=[
            Case(quota(f"gpuQuota: 2, gpuLimit: 1.5, {ALL}"), "fleet.yaml:{gpuLimit} the queue 'chat' is guaranteed 2 and limited to 1.5"),
            Case(quota(f"gpuQuota: -1, gpuLimit: 8, {ALL}"), "fleet.yaml:{gpuLimit} the queue 'chat' is guaranteed without limit and limited to 8"),
            Case(quota("gpuQuota: 2, cpuQuota: 4001, cpuLimit: 4000, memoryQuotaMb: 9, memoryLimitMb: 8"),
                 ("fleet.yaml:{cpuLimit} the queue 'chat' is guaranteed 4001 and limited to 4000", "fleet.yaml:{cpuLimit} the queue 'chat' is guaranteed 9 and limited to 8")),
        ],
        near=[
            quota(f"gpuQuota: 2, gpuLimit: 2, {ALL}"),
            quota("gpuQuota: 2, cpuQuota: 4000, cpuLimit: 4000, memoryQuotaMb: 8, memoryLimitMb: 8"),
            quota(f"gpuQuota: 2, gpuLimit: -1, {ALL}"),
            quota(f"gpuQuota: 2, gpuLimit: 0, {ALL}"),  # nothing beyond the quota
            quota("gpuQuota: 2, cpuLimit: 4000, memoryLimitMb: 8000"),
        ],
    ),
    "KAI009": Cases(
        fires=[
            Case(kai(PLANT, UNDER, "batch: {parent: plant, gpuQuota: 0.5}"), "fleet.yaml:{plant: {gpuQuota} the queues under 'plant' are guaranteed 2.5 GPUs, and it 2",
                 help="'gpuQuota: 2.5'", also=("KAI014",)),
            Case(kai(PLANT, UNDER.replace("gpuQuota: 2", "gpuQuota: -1")), "fleet.yaml:{plant: {gpuQuota} the queues under 'plant' are guaranteed GPUs without limit, and it 2"),
        ],
        near=[kai(PLANT, UNDER), kai(PLANT, UNDER, "batch: {parent: plant}"), kai(PLANT.replace("gpuQuota: 2", "gpuQuota: -1"), UNDER, "batch: {parent: plant, gpuQuota: 9}")],
    ),
    "KAI010": Cases(
        fires=[
            Case(quota("gpuQuota: 2, cpuQuota: 0, cpuLimit: 0"), "fleet.yaml:{cpuLimit} a limit of 0 gives the queue 'chat' no CPU at all", help="'cpuQuota: -1' and 'cpuLimit: -1'"),
            Case(quota("gpuQuota: 2, memoryQuotaMb: 0, memoryLimitMb: 0"), "fleet.yaml:{memoryLimitMb} a limit of 0 gives the queue 'chat' no memory at all"),
            Case(quota(f"gpuLimit: 0, {ALL}", "queue: chat; preemptible: true"), "fleet.yaml:{gpuLimit} a limit of 0 gives the queue 'chat' no GPU at all"),
        ],
        near=[quota("gpuQuota: 2, cpuLimit: -1, cpuQuota: -1, memoryLimitMb: -1, memoryQuotaMb: -1"), quota(f"gpuLimit: 1, {ALL}", "queue: chat; preemptible: true"),
              quota(f"gpuLimit: 0, {ALL}")],  # the quota is missing, says KAI011
    ),
    "KAI011": Cases(
        fires=[
            Case(quota(f"gpuQuota: 1.9, {ALL}"), "fleet.yaml:{gpuQuota} 2 GPUs of the queue 'chat' are for what may not be stopped; it is guaranteed 1.9",
                 help="at least 'gpuQuota: 2'"),
            Case(quota(ALL), "fleet.yaml:{chat: {cpuQuota} 2 GPUs of the queue 'chat'"),
            Case(kai(f"plant: {{gpuQuota: 1, {ALL}}}", UNDER), "fleet.yaml:{plant: {gpuQuota} 2 GPUs of the queue 'plant'"),
            # so many that those under it are kept too (KAI009)
            Case(kai(f"plant: {{gpuQuota: 1, {ALL}}}", UNDER.replace("gpuQuota: 2", "gpuQuota: 2.5"), more="version: v0.16.8"),
                 "fleet.yaml:{plant: {gpuQuota} 2 GPUs of the queue 'plant'", help="at least 'gpuQuota: 2.5'"),
            # two replicas with a profile of two slices each
            Case(cut("2g.48gb: 2", "2g.48gb", quota(f"gpuQuota: 3, {ALL}")), "fleet.yaml:{gpuQuota} 4 GPUs of the queue 'chat' are for what may not be stopped; it is guaranteed 3"),
        ],
        near=[quota(f"gpuQuota: 2, {ALL}"), quota(f"gpuQuota: -1, {ALL}"), quota(ALL, "queue: chat; preemptible: true"), cut("2g.48gb: 2", "2g.48gb", quota(f"gpuQuota: 4, {ALL}"))],
    ),
    "KAI012": Cases(
        fires=[
            Case(quota("gpuQuota: 2, cpuQuota: 0"), "fleet.yaml:{cpuQuota} the queue 'chat' guarantees no CPU"),
            Case(quota("gpuQuota: 2, memoryQuotaMb: 0"), "fleet.yaml:{memoryQuotaMb} the queue 'chat' guarantees 0 MB of memory"),
            # two replicas of 16 GiB are 34,360 MB
            Case(quota("gpuQuota: 2, cpuQuota: -1, memoryQuotaMb: 34359", "queue: chat; memoryGib: 16"),
                 "fleet.yaml:{memoryQuotaMb} the queue 'chat' guarantees 34359 MB of memory; what may not be stopped takes 34360 MB"),
        ],
        near=[
            quota("gpuQuota: 2, cpuQuota: 8000, memoryQuotaMb: 34360", "queue: chat; memoryGib: 16"),
            quota("gpuQuota: 2, cpuQuota: 0", "queue: chat; preemptible: true"),
            quota("gpuQuota: 2, cpuQuota: 0, cpuLimit: 0, memoryQuotaMb: 0, memoryLimitMb: 0"),  # closed, says KAI010
        ],
    ),
    "KAI013": Cases(
        fires=[
            Case(kai(QUEUE, more="topologyLevels: [kubernetes.io/hostname, rack]"), "fleet.yaml:{topologyLevels} kubernetes.io/hostname is above 'rack'"),
            Case(kai(QUEUE, more="topologyLevels: [rack, row, rack]"), "fleet.yaml:{topologyLevels} the topology level 'rack' is listed twice"),
            Case(kai(QUEUE, more=f"topologyLevels: [{', '.join(f'level{n}' for n in range(17))}]"), "fleet.yaml:{topologyLevels} 17 topology levels; KAI takes 16"),
        ],
        near=[kai(QUEUE, more="topologyLevels: [rack, kubernetes.io/hostname]"), kai(QUEUE, more=f"topologyLevels: [{', '.join(f'level{n}' for n in range(16))}]")],
    ),
    "KAI014": Cases(
        fires=[Case(kai(QUEUE, "batch: {gpuQuota: 0}"), "fleet.yaml:{batch:} no deployment waits in the queue 'batch'")],
        near=[kai(QUEUE), kai(PLANT, UNDER)],
    ),
    "KAI015": Cases(
        fires=[
            Case(quota(f"gpuQuota: 2.5, {ALL}"), "fleet.yaml:{gpuQuota} the queues are guaranteed 2.5 GPUs; KAI finds 2 in the node pools"),
            Case(kai(QUEUE, "batch: {gpuQuota: 1}"), "fleet.yaml:{batch:} the queues are guaranteed 3 GPUs", also=("KAI014",)),
            Case(cut("2g.48gb: 2", "2g.48gb", quota(f"gpuQuota: 9, {ALL}")), "fleet.yaml:{gpuQuota} the queues are guaranteed 9 GPUs; KAI finds 8"),
        ],
        near=[{FLEET: [*quota(f"gpuQuota: 3, {ALL}")[FLEET], GROWS]}, quota(f"gpuQuota: 2, {ALL}"), kai(PLANT, UNDER), cut("2g.48gb: 2", "2g.48gb", quota(f"gpuQuota: 8, {ALL}"))],
    ),
    "KAI016": Cases(
        fires=[Case(kai(QUEUE, chat="pinnedGib: 0"), "fleet.yaml:{gpu: true > chat:} chat takes GPUs and waits in no queue", also=("KAI014",))],
        near=[kai(QUEUE), {FLEET: [*kai(QUEUE, chat="pinnedGib: 0")[FLEET], FOUNDRY, AZURE]}],
    ),
    "KAI017": Cases(
        fires=[Case({FLEET: [*kai(QUEUE)[FLEET], FOUNDRY, AZURE]}, "fleet.yaml:{queue: chat} Foundry Local's operator makes the pods of chat, and gives them no queue")],
        near=[kai(QUEUE)],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
