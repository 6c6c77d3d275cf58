"""Rules about the Azure Local cluster. Graz has three nodes, Turin one, Narvik three with a local identity."""

from tests.unit.rules.cases import FLEET, GRAZ, NARVIK, TURIN, Case, Cases, rule_tests

STORAGE = "- {name: storage, traffic: [Storage], adapters: [ethernet 3, ethernet 4]}"
COMPUTE = "- {name: managementcompute, traffic: [Management, Compute], adapters: [ethernet, ethernet 2]}"
VLAN = "- {name: Storage2, adapter: ethernet 4, vlan: 712}"
WITHOUT_N3 = ("    - {name: graz-n3, ip: 10.30.1.13}\n", "")
NARVIK_WITHOUT_N3 = ("    - {name: narvik-n3, ip: 10.40.1.13}\n", "")
WITHOUT_WITNESS = ("  witness: {storageAccount: fleetwitnessgraz}\n", "")
WITH_N4 = ("graz-n3, ip: 10.30.1.13}", "graz-n3, ip: 10.30.1.13}\n    - {name: graz-n4, ip: 10.30.1.14}")
LINKS = "[{node: graz-n1, ip: 10.0.1.1}, {node: graz-n2, ip: 10.0.1.2}, {node: graz-n3, ip: 10.0.5.3}]"
SWITCHLESS = ("  keyVault: kv-fleet-graz", "  switchless: true\n  keyVault: kv-fleet-graz")
OU = "  ouPath: OU=Graz,DC=factory,DC=example\n"
TURIN_NODE = "    - {name: turin-n1, ip: 10.20.1.11}\n"
TWO_AT_TURIN = (TURIN_NODE, TURIN_NODE + "    - {name: turin-n2, ip: 10.20.1.12}\n")


def storage(traffic: str = "Storage", adapters: str = "ethernet 3, ethernet 4") -> tuple[str, str]:
    """Another storage intent."""
    return (STORAGE, f"- {{name: storage, traffic: [{traffic}], adapters: [{adapters}]}}")


CASES = {
    "AZL001": Cases(
        fires=[Case({GRAZ: [("clusterName: graz-hci", "clusterName: GRAZ-N1")]},
                    "sites/graz.yaml:{clusterName} the cluster and a node are both named GRAZ-N1"),
               Case({GRAZ: [("clusterName: graz-hci", "clusterName: graz-n3"), ("name: graz-n3", "name: Graz-N3")]},
                    "sites/graz.yaml:{clusterName} the cluster and a node are both named graz-n3")],
        near=[{GRAZ: [("clusterName: graz-hci", "clusterName: graz-n4")]}],
    ),
    "AZL002": Cases(
        fires=[Case({GRAZ: [("name: graz-n2", "name: GRAZ-N1"), ("name: graz-n3", "name: graz-n1")]},
                    ("sites/graz.yaml:{10.30.1.12} two nodes are named GRAZ-N1",
                     "sites/graz.yaml:{10.30.1.13} two nodes are named graz-n1")),
               Case({GRAZ: [("name: graz-n1", "name: GRAZ-N1"), ("name: graz-n2", "name: graz-n1")]},
                    "sites/graz.yaml:{10.30.1.12} two nodes are named graz-n1")],
        near=[{GRAZ: [("name: graz-n2", "name: graz-n11")]}],
    ),
    "AZL003": Cases(
        fires=[
            Case({FLEET: [storage("Compute"), (COMPUTE, COMPUTE.replace(", Compute", ""))]},
                 "fleet.yaml:{    intents:} no intent carries Storage traffic", also=("AZL006",)),
            Case({FLEET: [("traffic: [Management, Compute]", "traffic: [Management]")]},
                 "fleet.yaml:{    intents:} no intent carries Compute traffic", help="add Compute to an intent's 'traffic'"),
            Case({FLEET: [("traffic: [Management, Compute]", "traffic: [Compute]")]},
                 "fleet.yaml:{    intents:} no intent carries Management traffic"),
            Case({FLEET: [storage("Storage, Management")]}, "fleet.yaml:{    intents:} 2 intents carry Management traffic", help="only one may"),
            Case({FLEET: [(STORAGE, f"{STORAGE}\n      - {{name: more, traffic: [Storage], adapters: [ethernet 5]}}")]},
                 "fleet.yaml:{    intents:} 2 intents carry Storage traffic"),
            Case({TURIN: [TWO_AT_TURIN, ("profile: pilot", "profile: pilot\ntopology: datacenter-cluster"),
                          ("  storageNetworks: []\n", "  storageNetworks: []\n  witness: {storageAccount: fleetwitnessturin}\n")]},
                 "sites/turin.yaml:{  intents:} no intent carries Storage traffic", also=("AGT004", "K8S003", "K8S017")),
        ],
        near=[
            {FLEET: [storage("Storage, Compute")]},
            {FLEET: [(STORAGE, f"{STORAGE}\n      - {{name: more, traffic: [Compute], adapters: [ethernet 5]}}")]},
            {FLEET: [("traffic: [Management, Compute]", "traffic: [Management, Compute, Management]")]},
            {FLEET: [("traffic: [Management, Compute]", "traffic: [Management]"), storage("Storage, Compute")]},
            # one node has no storage network, and may have one
            {TURIN: [("traffic: [Management, Compute]", "traffic: [Management, Compute, Storage]")]},
            {TURIN: [("traffic: [Management, Compute]", "traffic: [Compute, Management]")]},
        ],
    ),
    "AZL004": Cases(
        fires=[Case({FLEET: [storage(adapters="ethernet 2, ethernet 3, ethernet 4")]},
                    "fleet.yaml:{traffic: [Storage]} the adapter 'ethernet 2' is in the intents managementcompute and storage"),
               Case({FLEET: [storage(adapters="ethernet, ethernet 2, ethernet 3, ethernet 4")]},
                    ("fleet.yaml:{traffic: [Storage]} the adapter 'ethernet' is in the intents managementcompute and storage",
                     "fleet.yaml:{traffic: [Storage]} the adapter 'ethernet 2' is in the intents managementcompute and storage"))],
        near=[{FLEET: [storage(adapters="ethernet 3, ethernet 4, ethernet 5")]}],
    ),
    "AZL005": Cases(
        fires=[Case({GRAZ: [WITHOUT_N3, WITHOUT_WITNESS]}, "sites/graz.yaml:{  nodes:} a cluster of two nodes needs a witness", help="add 'witness:"),
               Case({NARVIK: [NARVIK_WITHOUT_N3]}, "sites/narvik.yaml:{  nodes:} a cluster of two nodes needs a witness, and a disconnected site reaches none",
                    help="have three nodes or more")],
        near=[{GRAZ: [WITHOUT_N3]},
              {GRAZ: [WITHOUT_WITNESS]},
              {NARVIK: [NARVIK_WITHOUT_N3, ("  customLocation:", "  witness: {storageAccount: fleetnarvik}\n  customLocation:")]},  # ARC005 says it
              {GRAZ: [WITHOUT_N3, ("    - {name: graz-n2, ip: 10.30.1.12}\n", ""), WITHOUT_WITNESS]}],
    ),
    "AZL006": Cases(
        fires=[
            Case({FLEET: [(VLAN, "- {name: Storage2, adapter: ethernet 5, vlan: 712}")]},
                 "fleet.yaml:{Storage2} the storage network Storage2 uses 'ethernet 5', which no Storage intent has",
                 help="one of ethernet 3, ethernet 4"),
            Case({FLEET: [(VLAN, "- {name: Storage2, adapter: ethernet 2, vlan: 712}")]},
                 "fleet.yaml:{Storage2} the storage network Storage2 uses 'ethernet 2', which no Storage intent has"),
            Case({FLEET: [(VLAN, "- {name: Storage2, adapter: ethernet 4, vlan: 711}")]},
                 "fleet.yaml:{Storage2} the storage networks Storage1 and Storage2 share VLAN 711"),
            Case({FLEET: [(f"      {STORAGE}\n", "")]},
                 ("fleet.yaml:{Storage1} the storage network Storage1 uses 'ethernet 3', which no Storage intent has",
                  "fleet.yaml:{Storage2} the storage network Storage2 uses 'ethernet 4', which no Storage intent has"),
                 also=("AZL003",), help="add an intent with Storage traffic"),
        ],
        near=[{FLEET: [(VLAN, "- {name: Storage2, adapter: ethernet 3, vlan: 713}")]},
              {FLEET: [(VLAN, "- {name: Storage2, adapter: ethernet 5, vlan: 712}"), storage(adapters="ethernet 3, ethernet 5")]}],
    ),
    "AZL007": Cases(
        fires=[
            Case({GRAZ: [(OU, "")]}, "sites/graz.yaml:{azureLocal:} Active Directory needs an organisational unit"),
            Case({GRAZ: [(OU, "  ouPath: CN=Graz,OU=a,DC=factory\n")]},
                 "sites/graz.yaml:{ouPath} 'CN=Graz,OU=a,DC=factory' is no organisational unit"),
            Case({NARVIK: [("  namingPrefix: narvik\n", "  namingPrefix: narvik\n  ouPath: OU=Narvik,DC=a\n")]},
                 "sites/narvik.yaml:{ouPath} a local identity has no organisational unit"),
        ],
        near=[{GRAZ: [(OU, "  ouPath: ou=Graz,DC=factory\n")]},
              {GRAZ: [(OU, "  identityProvider: LocalIdentity\n")]},
              {NARVIK: [("  namingPrefix: narvik\n", "  namingPrefix: narvik\n  identityProvider: ActiveDirectory\n  ouPath: OU=Narvik,DC=a\n")]}],
    ),
    "AZL008": Cases(
        fires=[Case({TURIN: [("profile: pilot\n", "profile: pilot\ntopology: datacenter-cluster\n")]},
                    "sites/turin.yaml:{topology:} a cluster has two machines or more; the site has one", also=("AGT004", "K8S003", "K8S017")),
               Case({GRAZ: [("", "topology: pilot-node\n")]},
                    "sites/graz.yaml:{topology:} a pilot node is one machine; the site has 3"),
               Case({GRAZ: [("", "topology: pilot-node\n"), WITHOUT_N3]},
                    "sites/graz.yaml:{topology:} a pilot node is one machine; the site has 2")],
        near=[{TURIN: [("profile: pilot\n", "profile: pilot\ntopology: distributed\n")]},
              {GRAZ: [("", "topology: datacenter-cluster\n"), WITHOUT_N3]},
              {GRAZ: [("", "topology: pilot-node\n"), WITHOUT_N3, ("    - {name: graz-n2, ip: 10.30.1.12}\n", "")]}],
    ),
    "AZL009": Cases(
        fires=[Case({GRAZ: [SWITCHLESS]},
                    ("fleet.yaml:{Storage1} Storage1: switchless storage between 3 nodes needs an address of each node",
                     "fleet.yaml:{Storage2} Storage2: switchless storage between 3 nodes needs an address of each node")),
               Case({GRAZ: [SWITCHLESS, WITH_N4]},
                    "sites/graz.yaml:{switchless} switchless storage is described for two and for three nodes; the site has 4"),
               Case({FLEET: [(VLAN, f"- {{name: Storage2, adapter: ethernet 4, vlan: 712, addresses: {LINKS}}}")]},
                    "fleet.yaml:{Storage2} addresses of storage adapters are for three nodes without a switch"),
               Case({GRAZ: [SWITCHLESS, WITHOUT_N3], FLEET: [(VLAN, "- {name: Storage2, adapter: ethernet 3, vlan: 712}")]},
                    ("fleet.yaml:{traffic: [Storage]} 'ethernet 4' carries no storage VLAN",
                     "fleet.yaml:{Storage1} 'ethernet 3' carries 2 storage VLANs", "fleet.yaml:{Storage2} 'ethernet 3' carries 2 storage VLANs"))],
        near=[{GRAZ: [SWITCHLESS, WITHOUT_N3]},
              {GRAZ: [SWITCHLESS, ("  infraPool:", f"  storageNetworks: [{{name: S1, adapter: ethernet 3, vlan: 711, addresses: {LINKS}}}]\n  infraPool:")]},
              {FLEET: [(VLAN, "- {name: Storage2, adapter: ethernet 3, vlan: 712}")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
