"""Rules about the networks of a site and its infrastructure pool."""

from tests.unit.rules.cases import FLEET, GRAZ, Case, Cases, rule_tests

INFRA = "infraPool: {start: 10.30.1.100, end: 10.30.1.110}"
PODS = "podCidr: 10.244.0.0/16"
MANAGEMENT = "management: {cidr: 10.30.1.0/24, gateway: 10.30.1.1, dns: [10.30.1.4]}"
KUBERNETES = "    cidr: 10.30.2.0/24"
HELD = "is inside the infrastructure pool 10.30.1.100-10.30.1.110"
OUTSIDE = "is outside the management network 10.30.1.0/24"

# The management network twice as large, and the nodes in its lower half: room for 256 addresses in the upper.
WIDE = [
    (MANAGEMENT, "management: {cidr: 10.30.0.0/23, gateway: 10.30.0.1, dns: [10.30.0.4]}"),
    ("10.30.1.11}", "10.30.0.11}"), ("10.30.1.12}", "10.30.0.12}"), ("10.30.1.13}", "10.30.0.13}"),
    ("    dns: [10.30.1.4]", "    dns: [10.30.0.4]"),
]  # fmt: skip


def infra(start: str, end: str) -> tuple[str, str]:
    """Another infrastructure pool."""
    return (INFRA, f"infraPool: {{start: {start}, end: {end}}}")


def management(second: int) -> list[tuple[str, str]]:
    """Graz's machines in another network, 10.SECOND.1.0/24."""
    return [(MANAGEMENT, MANAGEMENT.replace("10.30", f"10.{second}")), (INFRA, INFRA.replace("10.30", f"10.{second}")),
            *((f"ip: 10.30.1.1{n}", f"ip: 10.{second}.1.1{n}") for n in (1, 2, 3)),
            ("    dns: [10.30.1.4]", f"    dns: [10.{second}.1.4]")]  # fmt: skip


def shared(second: int) -> list[tuple[str, str]]:
    """Graz's machines and its cluster in one network, 10.SECOND.1.0/24, but for what names the cluster's."""
    return [*management(second), ("vip: 10.30.2.16", f"vip: 10.{second}.1.120"),
            ("gateway: 10.30.2.1", f"gateway: 10.{second}.1.1"),
            ("pool: {start: 10.30.2.16, end: 10.30.2.60}", f"pool: {{start: 10.{second}.1.120, end: 10.{second}.1.160}}"),
            ("start: 10.30.2.80, end: 10.30.2.90", f"start: 10.{second}.1.180, end: 10.{second}.1.190")]  # fmt: skip


# The last network of all, in which no address is left behind a pool.
LAST = [
    (MANAGEMENT, "management: {cidr: 255.255.255.0/24, gateway: 255.255.255.1, dns: [10.30.2.4]}"),
    *((f"ip: 10.30.1.1{n}", f"ip: 255.255.255.1{n}") for n in (1, 2, 3)),
]

CASES = {
    "NET001": Cases(
        fires=[
            Case({GRAZ: [(KUBERNETES, "    cidr: 10.30.0.0/16")]},
                 "sites/graz.yaml:{management:} 10.30.1.0/24 overlaps the Kubernetes network, 10.30.0.0/16"),
            Case({FLEET: [(PODS, "podCidr: 10.30.0.0/16")]},
                 ("fleet.yaml:{podCidr} 10.30.0.0/16 overlaps the Kubernetes network, 10.30.2.0/24",
                  "fleet.yaml:{podCidr} 10.30.0.0/16 overlaps the management network, 10.30.1.0/24"), also=("NET012", "TOL012")),
            Case({FLEET: [(PODS, "podCidr: 10.100.0.0/16")]},
                 "fleet.yaml:{podCidr} 10.100.0.0/16 overlaps the Kubernetes services, 10.96.0.0/12"),
            Case({GRAZ: [(KUBERNETES, "    cidr: 10.111.255.0/24")]},
                 "sites/graz.yaml:{10.111.255.0/24} 10.111.255.0/24 overlaps the Kubernetes services",
                 also=("NET005", "NET007", "NET008")),
            # AKS shares the management network
            Case({GRAZ: [*shared(100), ("    cidr: 10.30.2.0/24", "    cidr: 10.100.1.0/24")]},
                 "sites/graz.yaml:{    cidr:} 10.100.1.0/24 overlaps the Kubernetes services", also=("NET012",)),
        ],
        near=[
            {FLEET: [(PODS, "podCidr: 10.95.0.0/16")]},  # the last before the services
            {FLEET: [(PODS, "podCidr: 10.112.0.0/16")]},  # and the first after them
            {FLEET: [(PODS, "podCidr: 10.30.0.0/24")]},
            {GRAZ: management(100)},  # NET023 says it
            {FLEET: [(PODS, "podCidr: 10.30.3.0/24")]},
            # AKS may share the management network
            {GRAZ: [("vip: 10.30.2.16", "vip: 10.30.1.120"), (KUBERNETES, "    cidr: 10.30.1.0/24"),
                    ("gateway: 10.30.2.1", "gateway: 10.30.1.1"),
                    ("pool: {start: 10.30.2.16, end: 10.30.2.60}", "pool: {start: 10.30.1.120, end: 10.30.1.160}"),
                    ("start: 10.30.2.80, end: 10.30.2.90", "start: 10.30.1.180, end: 10.30.1.190")]},
        ],
    ),
    "NET023": Cases(
        fires=[
            Case({GRAZ: management(100)}, "sites/graz.yaml:{management:} the management network 10.100.1.0/24 overlaps the Kubernetes services, 10.96.0.0/12",
                 also=("NET012",)),
            Case({GRAZ: management(96)}, "sites/graz.yaml:{management:} the management network 10.96.1.0/24 overlaps", also=("NET012",)),
        ],
        near=[{GRAZ: management(95)}, {GRAZ: management(112)},
              {GRAZ: [*shared(100), ("    cidr: 10.30.2.0/24", "    cidr: 10.100.1.0/24")]}],  # NET001 says it
    ),
    "NET002": Cases(
        fires=[
            # six more would end past the last address of all, and past the network
            Case({GRAZ: [*LAST, infra("255.255.255.254", "255.255.255.255")]},
                 "sites/graz.yaml:{infraPool} the infrastructure pool has 2 addresses", help="6 addresses in a row, all of 255.255.255.0/24",
                 also=("NET013",)),
            Case({GRAZ: [infra("10.30.1.252", "10.30.1.254")]},
                 "sites/graz.yaml:{infraPool} the infrastructure pool has 3 addresses", help="6 addresses in a row, all of 10.30.1.0/24"),
            Case({GRAZ: [infra("10.30.1.100", "10.30.1.104")]},
                 "sites/graz.yaml:{infraPool} the infrastructure pool has 5 addresses; Azure Local takes 6 to 255",
                 help="with this start, 'end: 10.30.1.105' is the least"),
            Case({GRAZ: [infra("10.30.1.100", "10.30.1.100")]},
                 "sites/graz.yaml:{infraPool} the infrastructure pool has 1 address; Azure Local takes 6 to 255"),
            Case({GRAZ: [infra("10.30.1.100", "10.30.1.101")]},
                 "sites/graz.yaml:{infraPool} the infrastructure pool has 2 addresses; Azure Local takes 6 to 255"),
            Case({GRAZ: [*WIDE, infra("10.30.1.0", "10.30.1.255")]},
                 "sites/graz.yaml:{infraPool} the infrastructure pool has 256 addresses; Azure Local takes 6 to 255",
                 help="end it sooner", also=("NET013",)),
            Case({GRAZ: [infra("10.30.1.110", "10.30.1.100")]},
                 "sites/graz.yaml:{infraPool} the infrastructure pool ends at 10.30.1.100, before its start 10.30.1.110"),
            Case({GRAZ: [infra("10.30.1.100", "10.30.1.99")]},
                 "sites/graz.yaml:{infraPool} the infrastructure pool ends at 10.30.1.99, before its start 10.30.1.100"),
            Case({GRAZ: [infra("10.30.0.250", "10.30.1.0")]},
                 f"sites/graz.yaml:{{infraPool}} the infrastructure pool's start 10.30.0.250 {OUTSIDE}"),
            Case({GRAZ: [infra("10.30.1.250", "10.30.2.0")]},
                 f"sites/graz.yaml:{{infraPool}} the infrastructure pool's end 10.30.2.0 {OUTSIDE}"),
        ],
        near=[
            {GRAZ: [infra("10.30.1.100", "10.30.1.105")]},  # exactly six
            {GRAZ: [*WIDE, infra("10.30.1.0", "10.30.1.254")]},  # exactly 255
            {GRAZ: [infra("10.30.1.250", "10.30.1.255")]},
            {GRAZ: [infra("10.30.1.0", "10.30.1.10")]},  # that it holds the gateway says NET011
        ],
    ),
    "NET003": Cases(
        fires=[
            Case({GRAZ: [("graz-n2, ip: 10.30.1.12", "graz-n2, ip: 10.30.1.100")]},
                 f"sites/graz.yaml:{{graz-n2}} graz-n2's address 10.30.1.100 {HELD}"),
            Case({GRAZ: [("graz-n3, ip: 10.30.1.13", "graz-n3, ip: 10.30.1.110")]},
                 f"sites/graz.yaml:{{graz-n3}} graz-n3's address 10.30.1.110 {HELD}"),
        ],
        near=[
            {GRAZ: [("graz-n2, ip: 10.30.1.12", "graz-n2, ip: 10.30.1.99")]},
            {GRAZ: [("graz-n3, ip: 10.30.1.13", "graz-n3, ip: 10.30.1.111")]},
        ],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
