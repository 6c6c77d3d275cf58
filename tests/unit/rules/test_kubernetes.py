"""Rules about the AKS cluster. Graz has the pools agents and inference of two VMs each, and three control planes."""

import base64

from tests.unit.rules.cases import FLEET, GRAZ, Case, Cases, Edits, rule_tests

CONTROL_PLANE = "controlPlane: {count: 3, vmSize: Standard_D4s_v3}"
AGENTS = "agents: {vmSize: Standard_D8s_v3, count: 2}"
CPU_POOL = "inference: {vmSize: Standard_D8s_v3, count: 1}"


def control_plane(count: int, size: str = "Standard_D4s_v3") -> tuple[str, str]:
    """Another control plane at Graz."""
    return (CONTROL_PLANE, f"controlPlane: {{count: {count}, vmSize: {size}}}")


def more_pools(counts: list[int]) -> Edits:
    """More pools at Graz, with these numbers of VMs, and addresses for them all."""
    pools = "".join(
        f"p{n:02}x: {{vmSize: Standard_D8s_v3, count: {count}}}\n        " for n, count in enumerate(counts)
    )
    return {FLEET: [(AGENTS, pools + AGENTS)],
            GRAZ: [("pool: {start: 10.30.2.16, end: 10.30.2.60}", "pool: {start: 10.30.2.16, end: 10.30.2.230}"),
                   ("loadBalancer: {start: 10.30.2.80, end: 10.30.2.90}", "loadBalancer: {start: 10.30.2.240, end: 10.30.2.250}")]}  # fmt: skip


def autoscaled(most: int) -> Edits:
    """198 VMs and control planes at Graz, and a pool of one that may become more."""
    edits = more_pools([64, 64, 63])
    more = (
        AGENTS,
        f"more: {{vmSize: Standard_D8s_v3, count: 1, autoscale: {{minCount: 1, maxCount: {most}}}}}\n        {AGENTS}",
    )
    return {**edits, FLEET: [*edits[FLEET], more]}


def racks(machines: int, count: int) -> Edits:
    """A rack-aware Graz with two zones of so many machines, and so many control plane VMs."""
    nodes = "".join(
        f"    - {{name: graz-n{n}, ip: 10.30.1.{10 + n}, zone: {'ab'[n % 2]}}}\n"
        for n in range(1, 2 * machines + 1)
    )
    three = "".join(f"    - {{name: graz-n{n}, ip: 10.30.1.1{n}}}\n" for n in (1, 2, 3))
    return {
        FLEET: [control_plane(count)],
        GRAZ: [("  nodes:\n" + three, "  pattern: rack-aware\n  nodes:\n" + nodes)],
    }


def rsa(bits: int) -> str:
    """The line of a public key of so many bits; no key, but of its form."""
    fields = (b"ssh-rsa", b"\x01\x00\x01", b"\x00" + (1 << (bits - 1)).to_bytes((bits + 7) // 8, "big"))
    data = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
    return "ssh-rsa " + base64.b64encode(data).decode()


def ssh_key(line: str) -> Edits:
    """Another key for Graz's nodes."""
    return {GRAZ: [("  name: graz-aks\n", f"  name: graz-aks\n  sshPublicKey: {line}\n")]}


CASES = {
    "K8S001": Cases(
        fires=[Case({FLEET: [control_plane(3, "Standard_D16s_v3")]},
                    "fleet.yaml:{Standard_D16s_v3} a control plane can't run on 'Standard_D16s_v3'", help="did you mean"),
               Case({FLEET: [control_plane(3, "Standard_D4s_v9")]}, "fleet.yaml:{Standard_D4s_v9} a control plane can't run on 'Standard_D4s_v9'")],
        near=[{FLEET: [control_plane(3, "Standard_D8s_v3")]}, {FLEET: [control_plane(3, "Standard_K8S3_v1")]}],
    ),
    "K8S002": Cases(
        fires=[Case(more_pools([1] * 15), "fleet.yaml:{gpu-cluster: > nodePools:} 17 node pools; a cluster has at most 16", help="join some"),
               Case(more_pools([64, 64, 64, 2]), "fleet.yaml:{gpu-cluster: > nodePools:} 201 nodes; a cluster has at most 200", help="make it two clusters"),
               Case(autoscaled(3), "fleet.yaml:{gpu-cluster: > nodePools:} 201 nodes; a cluster has at most 200")],
        near=[more_pools([1] * 14), more_pools([64, 64, 64, 1]), autoscaled(2)],
    ),
    "K8S003": Cases(
        fires=[Case({FLEET: [control_plane(1)]}, "fleet.yaml:{count: 1, vmSize: Standard_D4s_v3}} one control plane VM in a production cluster", help="'count: 3'")],
        near=[racks(2, 1),  # K8S018 says it
              {FLEET: [control_plane(5)]},
              {FLEET: [control_plane(1), ("environment: prod", "environment: test")]},
              {FLEET: [control_plane(1), ("topology: datacenter-cluster", "topology: distributed")]}],
    ),
    "K8S004": Cases(
        fires=[Case({FLEET: [(CPU_POOL, "inference: {vmSize: Standard_A4_v2, count: 1}")]},
                    "fleet.yaml:{inference: {vmSize: Standard_A4_v2} Standard_A4_v2 has 8 GiB; chat needs a worker of 16 GiB or more",
                    help="Standard_D4s_v3 is the least")],
        near=[{FLEET: [(CPU_POOL, "inference: {vmSize: Standard_D4s_v3, count: 1}")]},
              {FLEET: [(CPU_POOL, "inference: {vmSize: Standard_D4s_v9, count: 1}")]},  # GPU001 knows of sizes that do not exist
              {FLEET: [(CPU_POOL, "inference: {vmSize: Standard_D4s_v3, count: 1}\n        small: {vmSize: Standard_A4_v2, count: 1}")]}],
    ),
    "K8S005": Cases(
        fires=[Case({FLEET: [("systemPool: agents", "systemPool: agent")]},
                    "fleet.yaml:{systemPool} the system pool 'agent' is no node pool of the site", help="did you mean 'agents'"),
               Case({FLEET: [("      controlPlane: {count: 3,", "      systemPool: inference\n      controlPlane: {count: 3,")]},
                    "fleet.yaml:{systemPool: inference} the system pool 'inference' has GPUs", help="known: agents")],
        near=[{FLEET: [("systemPool: agents", "systemPool: inference"), ("      controlPlane: {count: 3,", "      systemPool: agents\n      controlPlane: {count: 3,")]}],
    ),
    "K8S018": Cases(
        fires=[Case(racks(3, 3), "fleet.yaml:{count: 3, vmSize: Standard_D4s_v3}} 3 control plane VMs may all be in one zone of 3 machines", help="'count: 5'"),
               Case(racks(2, 1), "fleet.yaml:{count: 1, vmSize: Standard_D4s_v3}} 1 control plane VM may all be in one zone of 2 machines",
                    help="'count: 3'"),
               Case(racks(4, 1), "fleet.yaml:{count: 1, vmSize: Standard_D4s_v3}} 1 control plane VM may all be in one zone of 4 machines", help="'count: 5'")],
        near=[racks(5, 5),  # no control plane is larger: AZL010 says it
              racks(2, 3), racks(4, 5), {FLEET: [control_plane(1)]}],
    ),
    "K8S019": Cases(
        fires=[
            Case(ssh_key(rsa(2047)), "sites/graz.yaml:{sshPublicKey} the RSA key has 2047 bits; Azure takes 2048 or more"),
            Case(ssh_key(rsa(1024) + " me@factory.example"), "sites/graz.yaml:{sshPublicKey} the RSA key has 1024 bits"),
            Case(ssh_key(rsa(2048)[:-8]), "sites/graz.yaml:{sshPublicKey} the RSA key can't be read"),
            Case(ssh_key("ssh-rsa AAAA"), "sites/graz.yaml:{sshPublicKey} the RSA key can't be read"),
            Case(ssh_key("ssh-rsa REPLACE-ME"), "sites/graz.yaml:{sshPublicKey} the RSA key can't be read"),
        ],
        near=[ssh_key(rsa(2048)), ssh_key(rsa(4096) + " me@factory.example"), ssh_key("ssh-ed25519 AAAA")],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
