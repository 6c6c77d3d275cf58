"""Rules about names that only one site may have."""

from tests.unit.rules.cases import GRAZ, NARVIK, TURIN, Case, Cases, rule_tests

GROUP = ("resourceGroup: rg-fleet-narvik", "resourceGroup: RG-fleet-graz")
CLUSTER = ("clusterName: narvik-hci", "clusterName: GRAZ-hci")
AKS = ("name: narvik-aks", "name: graz-aks")
LOCATION = ("customLocation: narvik-location", "customLocation: graz-location")
SUBSCRIPTION = (GROUP[0], "subscription: 7c1d9a52-0000-4000-8000-0000000000f2, " + GROUP[1])
WITNESS = ("  customLocation:", "  witness: {storageAccount: fleetwitnessgraz}\n  customLocation:")
REGISTRY = ("host: registry.narvik.factory.example", "host: registry.graz.factory.example")

CASES = {
    "FLT001": Cases(
        fires=[Case({NARVIK: [GROUP, CLUSTER]}, "sites/narvik.yaml:{clusterName} narvik's cluster 'graz-hci' is graz's already"),
               Case({NARVIK: [GROUP, CLUSTER], TURIN: [("rg-fleet-turin", "rg-fleet-graz"), ("clusterName: turin-hci", "clusterName: graz-hci")]},
                    ("sites/narvik.yaml:{clusterName} narvik's cluster 'graz-hci' is graz's already",
                     "sites/turin.yaml:{clusterName} turin's cluster 'graz-hci' is graz's already"), also=("FLT009",))],
        near=[{NARVIK: [CLUSTER]}, {NARVIK: [SUBSCRIPTION, CLUSTER]}, {NARVIK: [GROUP]}],
    ),
    "FLT002": Cases(
        fires=[Case({NARVIK: [GROUP, AKS]}, "sites/narvik.yaml:{graz-aks} narvik's AKS cluster 'graz-aks' is graz's already")],
        near=[{NARVIK: [AKS]}, {NARVIK: [SUBSCRIPTION, AKS]}, {NARVIK: [GROUP, ("name: narvik-aks", "name: graz-aks2")]}],
    ),
    "FLT003": Cases(
        fires=[Case({NARVIK: [("keyVault: kv-fleet-narvik", "keyVault: KV-fleet-graz")]},
                    "sites/narvik.yaml:{keyVault} narvik's key vault 'kv-fleet-graz' is graz's already", help="its name is unique in all of Azure"),
               # in another subscription too
               Case({NARVIK: [SUBSCRIPTION, ("keyVault: kv-fleet-narvik", "keyVault: kv-fleet-graz")]},
                    "sites/narvik.yaml:{keyVault} narvik's key vault 'kv-fleet-graz' is graz's already")],
        near=[{NARVIK: [("keyVault: kv-fleet-narvik", "keyVault: kv-fleet-graz2")]}],
    ),
    "FLT004": Cases(
        fires=[Case({TURIN: [WITNESS]}, "sites/turin.yaml:{storageAccount} turin's witness 'fleetwitnessgraz' is graz's already"),
               Case({TURIN: [WITNESS, ("azure: {", "azure: {subscription: 7c1d9a52-0000-4000-8000-0000000000f2, ")]},
                    "sites/turin.yaml:{storageAccount} turin's witness 'fleetwitnessgraz' is graz's already")],
        near=[{TURIN: [(WITNESS[0], WITNESS[1].replace("graz", "turin"))]},
              {GRAZ: [("  witness: {storageAccount: fleetwitnessgraz}\n", "")], TURIN: [WITNESS]}],
    ),
    "FLT005": Cases(
        fires=[Case({NARVIK: [REGISTRY]}, "sites/narvik.yaml:{registry:} narvik's registry 'registry.graz.factory.example' is graz's already"),
               Case({NARVIK: [REGISTRY, GROUP]}, "sites/narvik.yaml:{registry:} narvik's registry 'registry.graz.factory.example' is graz's already")],
        near=[{NARVIK: [(REGISTRY[0], "host: registry.graz2.factory.example")]}],
    ),
    "FLT006": Cases(
        fires=[Case({NARVIK: [GROUP, LOCATION]}, "sites/narvik.yaml:{customLocation} narvik's custom location 'graz-location' is graz's already")],
        near=[{NARVIK: [LOCATION]}, {NARVIK: [SUBSCRIPTION, LOCATION]}, {NARVIK: [GROUP, (LOCATION[0], "customLocation: graz-location2")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
