"""Rules about which addresses are free. Graz has 10.30.1.0/24 for its nodes and 10.30.2.0/24 for AKS."""

from tests.unit.rules.cases import FLEET, GRAZ, NARVIK, Case, Cases, Edits, rule_tests

POOL = "pool: {start: 10.30.2.16, end: 10.30.2.60}"
BALANCER = "loadBalancer: {start: 10.30.2.80, end: 10.30.2.90}"
INFRA = "infraPool: {start: 10.30.1.100, end: 10.30.1.110}"
LINK = "connectivity: {mode: constrained, linkMbps: 50}"
DNS, OWN_DNS = "dns: [10.30.1.4]}", "    dns: [10.30.1.4]"
AGENTS = "agents: {vmSize: Standard_D8s_v3, count: 2}"
VLAN = ("    gateway: 10.30.2.1", "    vlan: {}\n    gateway: 10.30.2.1")
SHARED = [  # AKS in the management network
    ("vip: 10.30.2.16", "vip: 10.30.1.120"), ("    cidr: 10.30.2.0/24", "    cidr: 10.30.1.0/24"),
    ("gateway: 10.30.2.1", "gateway: 10.30.1.1"),
]  # fmt: skip


def pool(start: str, end: str) -> tuple[str, str]:
    """Another pool of addresses for the cluster's VMs."""
    return (POOL, f"pool: {{start: {start}, end: {end}}}")


def balancer(start: str, end: str) -> tuple[str, str]:
    """Another range for the load balancer."""
    return (BALANCER, f"loadBalancer: {{start: {start}, end: {end}}}")


def infra(start: str, end: str) -> tuple[str, str]:
    """Another infrastructure pool."""
    return (INFRA, f"infraPool: {{start: {start}, end: {end}}}")


def node(number: int, ip: str) -> tuple[str, str]:
    """A node of Graz with another address."""
    return (f"graz-n{number}, ip: 10.30.1.1{number}", f"graz-n{number}, ip: {ip}")


def proxy(url: str) -> Edits:
    """A proxy at Graz, which its own machines go around."""
    told = f"proxy: {{url: '{url}', bypass: ['graz-*', '10.30.1.*']}}"
    return {FLEET: [(LINK, LINK.replace("}", f", {told}}}"))]}


def pods(cidr: str) -> Edits:
    """Another pod network at Graz."""
    return {GRAZ: [("  name: graz-aks\n", f"  name: graz-aks\n  podCidr: {cidr}\n")]}


def autoscale(most: int, more: str = "") -> Edits:
    """An autoscaler for Graz's agents."""
    scale = f"autoscale: {{minCount: 1, maxCount: {most}}}"
    return {FLEET: [(AGENTS, AGENTS.replace("}", f", {scale}{more}}}"))]}


def vlan(number: int) -> Edits:
    """A VLAN for Graz's Kubernetes network."""
    return {GRAZ: [(VLAN[0], VLAN[1].format(number))]}


def management(number: int) -> Edits:
    """Narvik's management network within 10.71.0.0/16."""
    return {NARVIK: [
        ("management: {cidr: 10.40.1.0/24, gateway: 10.40.1.1, dns: [10.40.1.4]}",
         f"management: {{cidr: 10.71.{number}.0/24, gateway: 10.71.{number}.1, dns: [10.40.1.4]}}"),
        ("infraPool: {start: 10.40.1.100, end: 10.40.1.110}", f"infraPool: {{start: 10.71.{number}.100, end: 10.71.{number}.110}}"),
        *((f"ip: 10.40.1.1{n}", f"ip: 10.71.{number}.1{n}") for n in (1, 2, 3)),
    ]}  # fmt: skip


CASES = {
    "NET013": Cases(
        fires=[
            Case({GRAZ: [node(1, "10.30.1.0")]}, "sites/graz.yaml:{graz-n1} graz-n1 has 10.30.1.0, the network address of 10.30.1.0/24"),
            Case({GRAZ: [node(1, "10.30.1.255")]}, "sites/graz.yaml:{graz-n1} graz-n1 has 10.30.1.255, the broadcast address"),
            Case({GRAZ: [("gateway: 10.30.1.1,", "gateway: 10.30.1.0,")]}, "sites/graz.yaml:{management} the management gateway has 10.30.1.0"),
            Case({GRAZ: [("    gateway: 10.30.2.1", "    gateway: 10.30.2.255")]}, "sites/graz.yaml:{    gateway:} the Kubernetes gateway has 10.30.2.255"),
            Case({GRAZ: [("vip: 10.30.2.16", "vip: 10.30.2.255"), pool("10.30.2.200", "10.30.2.255")]},
                 ("sites/graz.yaml:{vip:} the control plane has 10.30.2.255", "sites/graz.yaml:{    pool:} the Kubernetes pool holds 10.30.2.255")),
            Case({GRAZ: [infra("10.30.1.245", "10.30.1.255")]}, "sites/graz.yaml:{infraPool} the infrastructure pool holds 10.30.1.255, the broadcast"),
            Case({GRAZ: [balancer("10.30.2.240", "10.30.2.255")]}, "sites/graz.yaml:{loadBalancer} the load balancer's range holds 10.30.2.255"),
        ],
        near=[
            {GRAZ: [node(1, "10.30.1.254")]},
            {GRAZ: [("    gateway: 10.30.2.1", "    gateway: 10.30.2.254")]},
            {GRAZ: [infra("10.30.1.244", "10.30.1.254"), balancer("10.30.2.240", "10.30.2.254")]},
            {GRAZ: [infra("10.30.1.250", "10.30.2.0")]},  # not all inside: NET002 says it
        ],
    ),
    "NET014": Cases(
        fires=[
            Case({GRAZ: [(OWN_DNS, "    dns: [10.30.2.80]")]}, "sites/graz.yaml:{loadBalancer} the load balancer's range holds 10.30.2.80, a DNS server"),
            Case({GRAZ: [("    gateway: 10.30.2.1", "    gateway: 10.30.2.90")]},
                 "sites/graz.yaml:{loadBalancer} the load balancer's range holds 10.30.2.90, the Kubernetes gateway"),
            Case({GRAZ: [*SHARED, pool("10.30.1.120", "10.30.1.160"), balancer("10.30.1.13", "10.30.1.20")]},
                 "sites/graz.yaml:{loadBalancer} the load balancer's range holds 10.30.1.13, graz-n3"),
            Case({GRAZ: [*SHARED, pool("10.30.1.120", "10.30.1.160"), balancer("10.30.1.110", "10.30.1.115")]},
                 "sites/graz.yaml:{loadBalancer} the load balancer's range overlaps the infrastructure pool 10.30.1.100-10.30.1.110"),
        ],
        near=[{GRAZ: [(OWN_DNS, "    dns: [10.30.2.79]")]},
              {GRAZ: [("    gateway: 10.30.2.1", "    gateway: 10.30.2.91")]},
              {GRAZ: [*SHARED, pool("10.30.1.120", "10.30.1.160"), balancer("10.30.1.14", "10.30.1.20")]},
              {GRAZ: [*SHARED, pool("10.30.1.120", "10.30.1.160"), balancer("10.30.1.111", "10.30.1.115")]}],
    ),
    "NET015": Cases(
        fires=[Case({GRAZ: [*SHARED, pool("10.30.1.112", "10.30.1.160"), node(3, "10.30.1.160"), balancer("10.30.1.180", "10.30.1.190")]},
                    "sites/graz.yaml:{graz-n3} graz-n3's address 10.30.1.160 is inside the Kubernetes pool 10.30.1.112-10.30.1.160")],
        near=[{GRAZ: [*SHARED, pool("10.30.1.112", "10.30.1.160"), node(3, "10.30.1.161"), balancer("10.30.1.180", "10.30.1.190")]}],
    ),
    "NET016": Cases(
        fires=[Case(proxy("http://10.244.0.9:8080"), "fleet.yaml:{proxy: {} the proxy 10.244.0.9 is inside the cluster's pod network 10.244.0.0/16"),
               Case(proxy("http://10.111.255.255:8080"), "fleet.yaml:{proxy: {} the proxy 10.111.255.255 is inside the cluster's service network")],
        near=[proxy("http://[10.244.0.9]:8080"), proxy("http://[::1"), proxy("http://10.245.0.0:8080"), proxy("http://10.112.0.0:8080"), proxy("http://proxy.factory.example:8080")],
    ),
    "NET017": Cases(
        # three control planes and four workers of 110 pods each
        fires=[Case(pods("10.244.0.0/23"), "sites/graz.yaml:{podCidr} 10.244.0.0/23 has 512 addresses; the nodes may run 770 pods", help="a /22 is the least"),
               Case({FLEET: [(AGENTS, AGENTS.replace("}", ", maxPods: 250}"))], **pods("10.244.0.0/22")},
                    "sites/graz.yaml:{podCidr} 10.244.0.0/22 has 1024 addresses; the nodes may run 1050 pods", help="a /21 is the least"),
               Case({**autoscale(6), **pods("10.244.0.0/22")},
                    "sites/graz.yaml:{podCidr} 10.244.0.0/22 has 1024 addresses; the nodes may run 1210 pods", also=("K8S017",))],
        near=[pods("10.244.0.0/22"),
              {FLEET: [(AGENTS, AGENTS.replace("}", ", maxPods: 237}"))], **pods("10.244.0.0/22")},
              {**autoscale(4), **pods("10.244.0.0/22")}],
    ),
    "NET018": Cases(
        fires=[Case(autoscale(39), "sites/graz.yaml:{    pool:} the pool has 45 addresses; with the autoscalers at their maximum the cluster takes 46",
                    help="'end: 10.30.2.61' is the least, or lower", also=("K8S017",)),
               # 46 more would end past the network, and past the last address of all
               Case({**autoscale(39), GRAZ: [pool("10.30.2.210", "10.30.2.254"), ("vip: 10.30.2.16", "vip: 10.30.2.210")]},
                    "sites/graz.yaml:{    pool:} the pool has 45 addresses", help="a larger network, or lower maxCount", also=("K8S017",)),
               Case({**autoscale(39), GRAZ: [pool("255.255.255.211", "255.255.255.255"), ("vip: 10.30.2.16", "vip: 255.255.255.211"),
                                             ("    cidr: 10.30.2.0/24", "    cidr: 255.255.255.0/24"), ("gateway: 10.30.2.1", "gateway: 255.255.255.1"),
                                             balancer("255.255.255.80", "255.255.255.90")]},
                    "sites/graz.yaml:{    pool:} the pool has 45 addresses", help="a larger network, or lower maxCount", also=("K8S017", "NET013"))],
        near=[autoscale(38), autoscale(2)],
    ),
    "NET019": Cases(
        fires=[Case({GRAZ: [(f"    {BALANCER}\n", "")]}, "sites/graz.yaml:{ingress} nothing gives the ingress agents.graz.factory.example an address")],
        near=[{GRAZ: [balancer("10.30.2.80", "10.30.2.80")]},
              {GRAZ: [(f"    {BALANCER}\n", ""), ("platform: {ingress: {host: agents.graz.factory.example}}\n", "")]}],
    ),
    "NET020": Cases(
        fires=[Case(vlan(712), "sites/graz.yaml:{vlan} the Kubernetes network has VLAN 712, which carries the storage network Storage2")],
        near=[vlan(710), vlan(713), vlan(0)],
    ),
    "NET021": Cases(
        fires=[Case(management(1), "sites/narvik.yaml:{management} the management network 10.71.1.0/24 overlaps 10.71.1.0/24, which the machines"),
               Case(management(2), "sites/narvik.yaml:{management} the management network 10.71.2.0/24 overlaps 10.71.2.0/24"),
               Case(pods("10.71.0.0/16"), "sites/graz.yaml:{podCidr} the pod network 10.71.0.0/16 overlaps 10.71.1.0/24")],
        near=[management(0), management(3), pods("10.70.0.0/16")],
    ),
    "NET022": Cases(
        fires=[Case({GRAZ: [(DNS, "dns: [10.30.1.4, 8.8.8.8]}")]},
                    "sites/graz.yaml:{management} the public DNS server 8.8.8.8 does not know factory.example"),
               Case({GRAZ: [(OWN_DNS, "    dns: [1.1.1.1]")]}, "sites/graz.yaml:{    dns:} the public DNS server 1.1.1.1 does not know factory.example")],
        near=[{GRAZ: [(DNS, "dns: [10.30.1.4, 8.8.8.9]}")]}, {GRAZ: [(OWN_DNS, "    dns: [1.1.1.3]")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
