"""Writes a realistic, valid fleet of N sites: `generate_fleet.py N OUT_DIR [SEED]`.

Profiles, agents and models are those of examples/factory; sites differ in ring, profile, nodes, labels and
addresses. The same arguments write the same bytes.
"""

import random
import shutil
import sys
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

FACTORY = Path(__file__).resolve().parent.parent.parent / "examples" / "factory"
# Networks that a site can't use: AKS's services, the pods of every site here, Network ATC's storage.
TAKEN = (IPv4Network("10.96.0.0/12"), IPv4Network("10.244.0.0/16"), IPv4Network("10.71.0.0/16"))
# What follows a pattern is said once, after these lines of the example.
PATTERNS = (
    ("    region: westeurope\n", '    resourceGroup: "rg-fleet-${site}"\n'),
    (
        "    domainFqdn: factory.example\n",
        '    namingPrefix: "${site}"\n    customLocation: "${site}-location"\n'
        '    ouPath: "OU=${site},DC=factory,DC=example"\n',
    ),
    ("    systemPool: agents\n", '    name: "${site}-aks"\n'),
    (
        "  delivery: {registry: registry.factory.example}\n",
        '  platform: {ingress: {host: "agents.${site}.factory.example"}}\n',
    ),
    (
        "    topology: pilot-node\n",
        "    azureLocal:\n      intents:\n        - {name: managementcompute, traffic: [Management, Compute], "
        "adapters: [ethernet, ethernet 2]}\n      storageNetworks: []\n",
    ),
    ("    registry: {storageGib: 500", ', host: "registry.${site}.factory.example"'),
    ("    registry: {storageGib: 300", ', host: "registry.${site}.factory.example"'),
    ("    azureLocal: {identityProvider: LocalIdentity", ", ouPath: null"),
)
COUNTRIES = ("at", "de", "es", "fr", "it", "no", "pl", "pt", "se", "us")
LINES = ("assembly", "casting", "packaging", "paint", "smelting", "warehouse", "welding")


def free_networks() -> Iterator[str]:
    """The first three bytes of each free /24 of 10.0.0.0/8: `10.0.1`."""
    for network in IPv4Network("10.0.0.0/8").subnets(new_prefix=24):
        if not any(network.overlaps(taken) for taken in TAKEN):
            yield str(network.network_address).rpartition(".")[0]


def site_text(number: int, ring: str, choose: random.Random, networks: Iterator[str]) -> tuple[str, str]:
    """A site's name and its file."""
    profile = choose.choices(("pilot", "gpu-cluster", "offshore"), (5, 4, 1))[0]
    nodes = {"pilot": 1, "gpu-cluster": choose.randint(2, 4), "offshore": 3}[profile]
    country = choose.choice(COUNTRIES)
    name = f"{country}-{number:05d}"
    management, cluster = next(networks), next(networks)
    node_lines = "\n".join(f"    - {{name: n{number}-{i}, ip: {management}.{10 + i}}}" for i in range(nodes))
    witness = f"  witness: {{storageAccount: witness{number:05d}}}\n" if profile == "gpu-cluster" else ""
    return (
        name,
        f"""\
apiVersion: fleet/v1
kind: Site
name: {name}
ring: {ring}
profile: {profile}
labels: {{country: "{country}", line: {choose.choice(LINES)}}}
azureLocal:
  clusterName: hci-{number:05d}
  keyVault: kv-fleet-{number:05d}
  nodes:
{node_lines}
  management: {{cidr: {management}.0/24, gateway: {management}.1, dns: [{management}.4]}}
  infraPool: {{start: {management}.100, end: {management}.110}}
{witness}kubernetes:
  controlPlane: {{vip: {cluster}.16}}
  network:
    cidr: {cluster}.0/24
    gateway: {cluster}.1
    dns: [{management}.4]
    pool: {{start: {cluster}.16, end: {cluster}.60}}
    loadBalancer: {{start: {cluster}.80, end: {cluster}.90}}
tools:
  work-orders:
    allowedDestinations:
      - {{cidr: {management}.200/32, port: 443}}
""",
    )


def generate(sites: int, folder: Path, seed: int = 1) -> None:
    """Write `fleet.yaml` and `sites/*.yaml` into `folder`, which is emptied first."""
    choose = random.Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "sites").mkdir(parents=True)
    rings = {"canary": 0.01, "early": 0.1, "broad": 0.5, "last": 1.0}
    fleet = (FACTORY / "fleet.yaml").read_text(encoding="utf-8")
    written = "".join(f"  - name: {name}\n    soakMinutes: 60\n" for name in rings)
    start, end = fleet.index("rings:\n"), fleet.index("# What every site has")
    fleet = fleet[:start] + "rings:\n" + written + "\n" + fleet[end:]
    for line, more in PATTERNS:
        assert line in fleet, f"the example has no {line!r} any more"
        fleet = fleet.replace(line, line + more, 1)
    (folder / "fleet.yaml").write_text(fleet, encoding="utf-8")
    networks = free_networks()
    for number in range(sites):
        # Every ring gets a site, however small the fleet; the shares hold for larger ones.
        ring = (
            list(rings)[number]
            if number < len(rings)
            else next(r for r, s in rings.items() if number < s * sites)
        )
        name, text = site_text(number, ring, choose, networks)
        (folder / "sites" / f"{name}.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    generate(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1)
