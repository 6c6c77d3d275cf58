"""Rules about single addresses and pools. Graz has 10.30.1.0/24 for its nodes and 10.30.2.0/24 for AKS."""

from tests.unit.rules.cases import FLEET, GRAZ, NARVIK, TURIN, Case, Cases, rule_tests

POOL = "pool: {start: 10.30.2.16, end: 10.30.2.60}"
BALANCER = "loadBalancer: {start: 10.30.2.80, end: 10.30.2.90}"
DNS, OWN_DNS = "dns: [10.30.1.4]}", "    dns: [10.30.1.4]"
SHARED = [  # AKS in the management network
    ("vip: 10.30.2.16", "vip: 10.30.1.120"), ("    cidr: 10.30.2.0/24", "    cidr: 10.30.1.0/24"),
    ("gateway: 10.30.2.1", "gateway: 10.30.1.1"), (BALANCER, "loadBalancer: {start: 10.30.1.180, end: 10.30.1.190}"),
]  # fmt: skip


def pool(start: str, end: str) -> tuple[str, str]:
    """Another pool of addresses for the cluster's VMs."""
    return (POOL, f"pool: {{start: {start}, end: {end}}}")


def balancer(start: str, end: str) -> tuple[str, str]:
    """Another range for the load balancer."""
    return (BALANCER, f"loadBalancer: {{start: {start}, end: {end}}}")


def node(number: int, ip: str) -> tuple[str, str]:
    """A node of Graz with another address."""
    return (f"graz-n{number}, ip: 10.30.1.1{number}", f"graz-n{number}, ip: {ip}")


CASES = {
    "NET004": Cases(
        fires=[Case({GRAZ: [node(3, "10.30.2.0")]},
                    "sites/graz.yaml:{graz-n3} graz-n3's address 10.30.2.0 is outside the management network 10.30.1.0/24")],
        near=[{GRAZ: [node(3, "10.30.1.254")]}],
    ),
    "NET005": Cases(
        fires=[
            Case({GRAZ: [("    gateway: 10.30.2.1", "    gateway: 10.30.3.1")]},
                 "sites/graz.yaml:{gateway: 10.30.3.1} the gateway 10.30.3.1 is outside its network 10.30.2.0/24",
                 help="usually the first address: 10.30.2.1"),
            Case({GRAZ: [("gateway: 10.30.1.1,", "gateway: 10.30.0.255,")]},
                 "sites/graz.yaml:{management} the gateway 10.30.0.255 is outside its network 10.30.1.0/24"),
        ],
        near=[{GRAZ: [("    gateway: 10.30.2.1", "    gateway: 10.30.2.254")]},
              {GRAZ: [("gateway: 10.30.1.1,", "gateway: 10.30.1.254,")]}],
    ),
    "NET006": Cases(
        fires=[
            Case({GRAZ: [("vip: 10.30.2.16", "vip: 10.30.2.61")]},
                 "sites/graz.yaml:{vip:} the control plane's address 10.30.2.61 is outside the pool 10.30.2.16-10.30.2.60"),
            Case({GRAZ: [("vip: 10.30.2.16", "vip: 10.30.2.15")]},
                 "sites/graz.yaml:{vip:} the control plane's address 10.30.2.15 is outside the pool"),
        ],
        near=[{GRAZ: [("vip: 10.30.2.16", "vip: 10.30.2.60")]}],
    ),
    "NET007": Cases(
        fires=[
            Case({GRAZ: [pool("10.30.2.16", "10.30.2.23")]},
                 "sites/graz.yaml:{    pool:} the pool has 8 addresses; the cluster takes 9: its VMs, one for rolling upgrades, one for the API server",
                 help="'end: 10.30.2.24' is the least"),
            Case({FLEET: [("agents: {vmSize: Standard_D8s_v3, count: 2}", "agents: {vmSize: Standard_D8s_v3, count: 39}")]},
                 "sites/graz.yaml:{    pool:} the pool has 45 addresses; the cluster takes 46"),
            # nine more would end past the network, and past the last address of all
            Case({GRAZ: [pool("10.30.2.246", "10.30.2.253"), ("vip: 10.30.2.16", "vip: 10.30.2.246")]},
                 "sites/graz.yaml:{    pool:} the pool has 8 addresses", help="'end: 10.30.2.254' is the least"),
            Case({GRAZ: [pool("10.30.2.247", "10.30.2.254"), ("vip: 10.30.2.16", "vip: 10.30.2.247")]},
                 "sites/graz.yaml:{    pool:} the pool has 8 addresses", help="9 addresses in a row, all of 10.30.2.0/24"),
            Case({GRAZ: [("    cidr: 10.30.2.0/24", "    cidr: 255.255.255.0/24"), ("gateway: 10.30.2.1", "gateway: 255.255.255.1"),
                         ("vip: 10.30.2.16", "vip: 255.255.255.254"), pool("255.255.255.254", "255.255.255.255"),
                         balancer("255.255.255.80", "255.255.255.90")]},
                 "sites/graz.yaml:{    pool:} the pool has 2 addresses", help="9 addresses in a row, all of 255.255.255.0/24", also=("NET013",)),
            Case({GRAZ: [pool("10.30.2.16", "10.30.2.16")]},
                 "sites/graz.yaml:{    pool:} the pool has 1 address", help="'end: 10.30.2.24' is the least"),
            Case({GRAZ: [pool("10.30.2.60", "10.30.2.16")]},
                 "sites/graz.yaml:{    pool:} the pool ends at 10.30.2.16, before its start 10.30.2.60", also=("NET006",)),
            Case({GRAZ: [pool("10.30.2.16", "10.30.2.15")]},
                 "sites/graz.yaml:{    pool:} the pool ends at 10.30.2.15, before its start 10.30.2.16", also=("NET006",)),
            Case({GRAZ: [("vip: 10.30.2.16", "vip: 10.30.2.0"), pool("10.30.1.240", "10.30.2.0")]},
                 "sites/graz.yaml:{    pool:} the pool's start 10.30.1.240 is outside its network 10.30.2.0/24", also=("NET013",)),
            Case({GRAZ: [("vip: 10.30.2.16", "vip: 10.30.2.240"), pool("10.30.2.240", "10.30.3.0")]},
                 "sites/graz.yaml:{    pool:} the pool's end 10.30.3.0 is outside its network 10.30.2.0/24"),
        ],
        near=[{GRAZ: [pool("10.30.2.16", "10.30.2.24")]},
              {FLEET: [("agents: {vmSize: Standard_D8s_v3, count: 2}", "agents: {vmSize: Standard_D8s_v3, count: 38}")]},
              {GRAZ: [("vip: 10.30.2.16", "vip: 10.30.2.247"), pool("10.30.2.247", "10.30.2.255")]}],
    ),
    "NET008": Cases(
        fires=[
            Case({GRAZ: [balancer("10.30.2.60", "10.30.2.90")]},
                 "sites/graz.yaml:{loadBalancer} the load balancer's range 10.30.2.60-10.30.2.90 overlaps the pool 10.30.2.16-10.30.2.60",
                 help="start it after 10.30.2.60"),
            Case({GRAZ: [balancer("10.30.2.10", "10.30.2.16")]},
                 "sites/graz.yaml:{loadBalancer} the load balancer's range 10.30.2.10-10.30.2.16 overlaps the pool"),
            Case({GRAZ: [balancer("10.30.1.200", "10.30.2.10")]},
                 "sites/graz.yaml:{loadBalancer} the load balancer's range is not all inside 10.30.2.0/24", also=("NET014",)),
            Case({GRAZ: [balancer("10.30.2.80", "10.30.3.0")]},
                 "sites/graz.yaml:{loadBalancer} the load balancer's range is not all inside 10.30.2.0/24"),
            Case({GRAZ: [balancer("10.30.2.80", "10.30.2.79")]},
                 "sites/graz.yaml:{loadBalancer} the range ends at 10.30.2.79, before its start 10.30.2.80"),
            Case({GRAZ: [balancer("10.30.2.80", "10.30.2.70")]},
                 "sites/graz.yaml:{loadBalancer} the range ends at 10.30.2.70, before its start 10.30.2.80"),
        ],
        near=[{GRAZ: [balancer("10.30.2.61", "10.30.2.90")]},
              {GRAZ: [balancer("10.30.2.10", "10.30.2.15")]},
              {GRAZ: [balancer("10.30.2.255", "10.30.2.255")]},
              {GRAZ: [(f"    {BALANCER}\n", "")]}],
    ),
    "NET009": Cases(
        fires=[
            Case({GRAZ: [node(2, "10.30.1.11"), node(3, "10.30.1.11")]},
                 ("sites/graz.yaml:{graz-n2} graz-n2 has 10.30.1.11, which graz-n1 has already",
                  "sites/graz.yaml:{graz-n3} graz-n3 has 10.30.1.11, which graz-n1 has already")),
            Case({GRAZ: [node(1, "10.30.1.1")]},
                 "sites/graz.yaml:{graz-n1} graz-n1 has 10.30.1.1, which the management gateway has already"),
            Case({GRAZ: [("    gateway: 10.30.2.1", "    gateway: 10.30.2.16")]},
                 "sites/graz.yaml:{    gateway:} the Kubernetes gateway has 10.30.2.16, which the control plane has already",
                 also=("NET011",)),
        ],
        near=[{GRAZ: [node(2, "10.30.1.14")]},
              {GRAZ: [*SHARED, pool("10.30.1.120", "10.30.1.160")]}],  # a shared network has one gateway
    ),
    "NET010": Cases(
        fires=[
            Case({NARVIK: [("management: {cidr: 10.40.1.0/24", "management: {cidr: 10.30.0.0/16")]},
                 ("sites/graz.yaml:{management:} graz's management network 10.30.1.0/24 overlaps narvik's management network 10.30.0.0/16",
                  "sites/graz.yaml:{    cidr:} graz's Kubernetes network 10.30.2.0/24 overlaps narvik's management network 10.30.0.0/16"),
                 also=("NET002", "NET004", "NET005")),
            # narvik's own network inside of the wide one does not hide what comes after
            Case({NARVIK: [("management: {cidr: 10.40.1.0/24", "management: {cidr: 10.20.0.0/14"),
                           ("    cidr: 10.40.2.0/24", "    cidr: 10.20.0.0/24")]},
                 ("sites/turin.yaml:{management:} turin's management network 10.20.1.0/24 overlaps narvik's management network 10.20.0.0/14",
                  "sites/turin.yaml:{    cidr:} turin's Kubernetes network 10.20.2.0/24 overlaps narvik's management network 10.20.0.0/14"),
                 also=("NET001", "NET002", "NET004", "NET005", "NET007", "NET008")),
            # nor does a site of another routing domain that lies between them
            Case({NARVIK: [("management: {cidr: 10.40.1.0/24", "management: {cidr: 10.16.0.0/12")], TURIN: [("", "routingDomain: sea\n")]},
                 ("sites/graz.yaml:{management:} graz's management network 10.30.1.0/24 overlaps narvik's management network 10.16.0.0/12",
                  "sites/graz.yaml:{    cidr:} graz's Kubernetes network 10.30.2.0/24 overlaps narvik's management network 10.16.0.0/12"),
                 also=("NET002", "NET004", "NET005")),
        ],
        near=[
            {NARVIK: [("management: {cidr: 10.40.1.0/24", "management: {cidr: 10.30.0.0/24")]},  # right before
            {NARVIK: [("management: {cidr: 10.40.1.0/24", "management: {cidr: 10.30.3.0/24")]},  # and right after
            # sites that can't reach each other may use the same networks
            {NARVIK: [("management: {cidr: 10.40.1.0/24", "management: {cidr: 10.30.0.0/16"), ("ring: broad\n", "ring: broad\nroutingDomain: sea\n")]},
        ],
    ),
    "NET011": Cases(
        fires=[
            Case({GRAZ: [(DNS, "dns: [10.30.1.100]}")]}, "sites/graz.yaml:{infraPool} the infrastructure pool holds 10.30.1.100, a DNS server"),
            Case({GRAZ: [(DNS, "dns: [10.30.1.4, 10.30.1.110]}")]}, "sites/graz.yaml:{infraPool} the infrastructure pool holds 10.30.1.110, a DNS server"),
            Case({GRAZ: [(OWN_DNS, "    dns: [10.30.2.16]")]}, "sites/graz.yaml:{    pool:} the Kubernetes pool holds 10.30.2.16, a DNS server"),
            Case({GRAZ: [("gateway: 10.30.1.1,", "gateway: 10.30.1.105,")]},
                 "sites/graz.yaml:{infraPool} the infrastructure pool holds 10.30.1.105, the management gateway"),
            Case({GRAZ: [("    gateway: 10.30.2.1", "    gateway: 10.30.2.60")]},
                 "sites/graz.yaml:{    pool:} the Kubernetes pool holds 10.30.2.60, the Kubernetes gateway"),
            Case({GRAZ: [(DNS, "dns: [10.30.1.105]}"), (OWN_DNS, "    dns: [10.30.1.105]")]},  # the same server is said once
                 "sites/graz.yaml:{infraPool} the infrastructure pool holds 10.30.1.105, a DNS server"),
            Case({GRAZ: [*SHARED, pool("10.30.1.110", "10.30.1.160")]},
                 "sites/graz.yaml:{    pool:} the Kubernetes pool overlaps the infrastructure pool 10.30.1.100-10.30.1.110"),
        ],
        near=[{GRAZ: [(DNS, "dns: [10.30.1.99]}")]},
              {GRAZ: [(DNS, "dns: [10.30.1.111]}")]},
              {GRAZ: [(OWN_DNS, "    dns: [10.30.2.15]")]},
              {GRAZ: [("    gateway: 10.30.2.1", "    gateway: 10.30.2.61")]},
              {GRAZ: [*SHARED, pool("10.30.1.111", "10.30.1.160")]}],
    ),
    "NET012": Cases(
        fires=[
            Case({GRAZ: [(DNS, "dns: [10.30.1.4, 10.96.0.0]}")]},
                 "sites/graz.yaml:{10.96.0.0} the DNS server 10.96.0.0 is inside the cluster's service network 10.96.0.0/12"),
            Case({GRAZ: [(OWN_DNS, "    dns: [10.111.255.255]")]},
                 "sites/graz.yaml:{10.111.255.255} the DNS server 10.111.255.255 is inside the cluster's service network 10.96.0.0/12"),
            # a server of both networks is told once
            Case({GRAZ: [(DNS, "dns: [10.96.0.9]}"), (OWN_DNS, "    dns: [10.96.0.9]")]},
                 "sites/graz.yaml:{management:} the DNS server 10.96.0.9 is inside", help="use one outside of it, here and in kubernetes.network"),
            Case({TURIN: [("    dns: [10.20.1.4]", "    dns: [10.244.0.10]")]},
                 "sites/turin.yaml:{10.244.0.10} the DNS server 10.244.0.10 is inside the cluster's pod network 10.244.0.0/16"),
        ],
        near=[{GRAZ: [(DNS, "dns: [10.30.1.4, 10.95.255.255]}")]},
              {GRAZ: [(OWN_DNS, "    dns: [10.112.0.0]")]},
              {TURIN: [("    dns: [10.20.1.4]", "    dns: [10.245.0.0]")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
