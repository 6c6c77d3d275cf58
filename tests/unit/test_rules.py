"""Each rule: a case that fires, with code, line and message, and a near miss that does not."""

import re

import pytest

from fleet.inventory.rule import installed_rules
from tests.factory import Edits, check, factory_files, line_of, places

GRAZ, NARVIK, TURIN, FLEET = "sites/graz.yaml", "sites/narvik.yaml", "sites/turin.yaml", "fleet.yaml"

FIRES: list[tuple[Edits, str]] = [
    ({GRAZ: [("registry: {host: registry.graz.factory.example}\n", "")], FLEET: [("    registry: {storageGib: 500}\n", "")]},
     "CON001 fleet.yaml:83 a constrained site needs a registry of its own"),
    ({FLEET: [("    modelCache: {storageGib: 100}\n", "")]},
     "CON001 fleet.yaml:106 a disconnected site needs a modelCache of its own"),
    ({GRAZ: [("    cidr: 10.30.2.0/24", "    cidr: 10.30.0.0/16")]},
     "NET001 sites/graz.yaml:17 10.30.1.0/24 overlaps the Kubernetes network, 10.30.0.0/16"),
    ({FLEET: [("podCidr: 10.244.0.0/16", "podCidr: 10.100.0.0/16")]},
     "NET001 fleet.yaml:37 10.100.0.0/16 overlaps the Kubernetes services, 10.96.0.0/12"),
    ({GRAZ: [("end: 10.30.1.110}", "end: 10.30.1.104}")]},
     "NET002 sites/graz.yaml:18 the infrastructure pool has 5 addresses; Azure Local takes 6 to 255"),
    ({GRAZ: [("start: 10.30.1.100, end: 10.30.1.110", "start: 10.30.1.110, end: 10.30.1.100")]},
     "NET002 sites/graz.yaml:18 the infrastructure pool ends at 10.30.1.100, before its start 10.30.1.110"),
    ({GRAZ: [("end: 10.30.1.110}", "end: 10.30.2.20}")]},
     "NET002 sites/graz.yaml:18 the infrastructure pool's end 10.30.2.20 is outside the management network 10.30.1.0/24"),
    ({GRAZ: [("graz-n2, ip: 10.30.1.12", "graz-n2, ip: 10.30.1.100")]},
     "NET003 sites/graz.yaml:15 graz-n2's address 10.30.1.100 is inside the infrastructure pool 10.30.1.100-10.30.1.110"),
    ({FLEET: [("vmSize: Standard_NC16_L4_1", "vmSize: Standard_D8s_v3")]},
     "GPU001 fleet.yaml:89 Standard_D8s_v3 carries no GPU; the site's GPU is L4"),
    ({FLEET: [("vmSize: Standard_NC16_L4_1", "vmSize: Standard_NC16_L40_1")]},
     "GPU001 fleet.yaml:89 Standard_NC16_L40_1 carries L40; the site's GPU is L4"),
    ({FLEET: [("vmSize: Standard_NC16_L4_1", "vmSize: Standard_NC16_L4_3")]},
     "GPU001 fleet.yaml:89 there is no VM size 'Standard_NC16_L4_3'"),
    ({FLEET: [("    gpu: {model: L4, perNode: 2, sharing: none}\n", "")]},
     "GPU001 fleet.yaml:88 the node pool 'inference' asks for a GPU at a site that has none"),
    ({FLEET: [("model: L4,", "model: H100,")]},
     "GPU001 fleet.yaml:84 AKS on Azure Local has no VM size with the GPU 'H100'"),
    ({FLEET: [("        contextTokens: 8192\n        slo", "        model: phi-4\n        contextTokens: 8192\n        slo")]},
     "INF001 fleet.yaml:98 phi-4 in fp16 does not fit: 44.0 GiB a GPU of 20.2 usable on L4"),
    ({FLEET: [("      model: phi-4-mini", "      model: phi-5")]},
     "INF001 fleet.yaml:45 there is no model 'phi-5'"),
    ({FLEET: [("        gpus: 1\n", "        gpus: 2\n")]},
     "INF001 fleet.yaml:96 chat takes 2 GPUs a replica; a Standard_NC16_L4_1 has 1"),
    ({FLEET: [("nodePool: inference", "nodePool: inferences")]},
     "INF001 fleet.yaml:48 there is no node pool 'inferences'"),
    ({FLEET: [("maf-agent-api:1.0.0@sha256:", "maf-agent-api:1.0.0@sha256:0")]}, "IMG001 fleet.yaml:54 the image"),
    ({TURIN: [("tools:\n  work-orders:\n", "tools:\n  work-orders:\n    image: work-orders:latest\n")]},
     "IMG001 sites/turin.yaml:33 the image 'work-orders:latest' is not pinned"),
    ({TURIN: [("tools:\n  work-orders:\n", "tools:\n  work-orders:\n    image: library/redis@sha256:" + "0" * 64 + "\n")]},
     "IMG001 sites/turin.yaml:33 the image 'library/redis@sha256:"),
    ({GRAZ: [("line: assembly", "line: sk-" + "a1B2" * 8)]}, "SEC001 sites/graz.yaml:6 labels.line holds an API key"),
    ({FLEET: [("domainFqdn: factory.example", "domainFqdn: https://me:pw123@factory.example")]},
     "SEC001 fleet.yaml:23 defaults.azureLocal.domainFqdn holds a password in a URL"),
    ({FLEET: [("      inference: chat\n", "      inference: chats\n")]},
     "AGT001 fleet.yaml:57 the agent 'maf-agent-api' uses the inference 'chats', which the site does not have"),
    ({FLEET: [("tools: [work-orders]", "tools: [work-order]")]},
     "AGT002 fleet.yaml:58 the agent 'maf-agent-api' uses the tool 'work-order', which the site does not have"),
    ({FLEET: [("      framework: maf\n", "      framework: maf\n      nodePool: agent\n")]},
     "AGT003 fleet.yaml:56 'maf-agent-api' runs in the node pool 'agent', which the site does not have"),
    ({NARVIK: [("    allowedDestinations:\n      - {cidr: 10.40.8.20/32, port: 443}\n", "    replicas: 1\n")]},
     "TOL001 sites/narvik.yaml:"),
    ({FLEET: [("  - name: broad\n", "  - name: broad\n  - name: late\n")]}, "RNG001 fleet.yaml:12 no site is in the ring 'late'"),
]  # fmt: skip

POOL = "pool: {start: 10.30.2.16, end: 10.30.2.60}"
STORAGE = "      - {name: storage, traffic: [Storage], adapters: [ethernet 3, ethernet 4]}\n"
PROXY = "connectivity: {mode: constrained, linkMbps: 50"
FIRES += [
    ({GRAZ: [("graz-n3, ip: 10.30.1.13", "graz-n3, ip: 10.30.9.13")]},
     "NET004 sites/graz.yaml:{graz-n3} graz-n3's address 10.30.9.13 is outside the management network 10.30.1.0/24"),
    ({GRAZ: [("    gateway: 10.30.2.1", "    gateway: 10.30.3.1")]},
     "NET005 sites/graz.yaml:{gateway: 10.30.3.1} the gateway 10.30.3.1 is outside its network 10.30.2.0/24"),
    ({GRAZ: [("vip: 10.30.2.16", "vip: 10.30.2.61")]},
     "NET006 sites/graz.yaml:{vip:} the control plane's address 10.30.2.61 is outside the pool 10.30.2.16-10.30.2.60"),
    ({GRAZ: [(POOL, "pool: {start: 10.30.2.16, end: 10.30.2.23}")]},
     "NET007 sites/graz.yaml:{    pool:} the pool has 8 addresses; the cluster takes 9: its VMs, one for rolling upgrades, one for the API server"),
    ({GRAZ: [(POOL, "pool: {start: 10.30.2.60, end: 10.30.2.16}")]},
     "NET007 sites/graz.yaml:{    pool:} the pool ends at 10.30.2.16, before its start 10.30.2.60"),
    ({GRAZ: [(POOL, "pool: {start: 10.30.2.16, end: 10.30.3.60}")]},
     "NET007 sites/graz.yaml:{    pool:} the pool's end 10.30.3.60 is outside its network 10.30.2.0/24"),
    ({GRAZ: [("loadBalancer: {start: 10.30.2.80", "loadBalancer: {start: 10.30.2.60")]},
     "NET008 sites/graz.yaml:{loadBalancer} the load balancer's range 10.30.2.60-10.30.2.90 overlaps the pool 10.30.2.16-10.30.2.60"),
    ({GRAZ: [("end: 10.30.2.90", "end: 10.30.3.90")]},
     "NET008 sites/graz.yaml:{loadBalancer} the load balancer's range is not all inside 10.30.2.0/24"),
    ({GRAZ: [("end: 10.30.2.90", "end: 10.30.2.70")]},
     "NET008 sites/graz.yaml:{loadBalancer} the range ends at 10.30.2.70, before its start 10.30.2.80"),
    ({GRAZ: [("graz-n3, ip: 10.30.1.13", "graz-n3, ip: 10.30.1.12")]},
     "NET009 sites/graz.yaml:{graz-n3} graz-n3 has 10.30.1.12, which graz-n2 has already"),
    ({NARVIK: [("management: {cidr: 10.40.1.0/24", "management: {cidr: 10.30.0.0/16")]},
     "NET010 sites/graz.yaml:{management:} graz's management network 10.30.1.0/24 overlaps narvik's management network 10.30.0.0/16"),
    ({GRAZ: [("dns: [10.30.1.4]}", "dns: [10.30.1.105]}")]},
     "NET011 sites/graz.yaml:{infraPool} the infrastructure pool holds 10.30.1.105, a DNS server"),
    ({GRAZ: [("dns: [10.30.1.4]}", "dns: [10.96.0.10]}")]},
     "NET012 sites/graz.yaml:{10.96.0.10} the DNS server 10.96.0.10 is inside the cluster's service network 10.96.0.0/12"),
    ({GRAZ: [("clusterName: graz-hci", "clusterName: GRAZ-N1")]},
     "AZL001 sites/graz.yaml:{clusterName} the cluster and a node are both named GRAZ-N1"),
    ({GRAZ: [("name: graz-n2", "name: graz-n1")]}, "AZL002 sites/graz.yaml:{10.30.1.12} two nodes are named graz-n1"),
    ({FLEET: [(STORAGE, "")]}, "AZL003 fleet.yaml:{intents:} no intent carries Storage traffic"),
    ({FLEET: [("traffic: [Storage]", "traffic: [Storage, Compute]")]}, "AZL003 fleet.yaml:{intents:} 2 intents carry Compute traffic"),
    ({FLEET: [("adapters: [ethernet 3, ethernet 4]", "adapters: [ethernet 2, ethernet 4]")]},
     "AZL004 fleet.yaml:{traffic: [Storage]} the adapter 'ethernet 2' is in the intents managementcompute and storage"),
    ({GRAZ: [("    - {name: graz-n3, ip: 10.30.1.13}\n", ""), ("  witness: {storageAccount: fleetwitnessgraz}\n", "")]},
     "AZL005 sites/graz.yaml:{nodes:} a cluster of two nodes needs a witness"),
    ({FLEET: [("adapter: ethernet 4, vlan: 712", "adapter: ethernet 5, vlan: 712")]},
     "AZL006 fleet.yaml:{Storage2} the storage network Storage2 uses 'ethernet 5', which no Storage intent has"),
    ({FLEET: [("vlan: 712", "vlan: 711")]},
     "AZL006 fleet.yaml:{Storage2} the storage networks Storage1 and Storage2 share VLAN 711"),
    ({GRAZ: [("  ouPath: OU=Graz,DC=factory,DC=example\n", "")]},
     "AZL007 sites/graz.yaml:{azureLocal:} Active Directory needs an organisational unit"),
    ({GRAZ: [("ouPath: OU=Graz,", "ouPath: ")]}, "AZL007 sites/graz.yaml:{ouPath} 'DC=factory,DC=example' is no organisational unit"),
    ({NARVIK: [("  namingPrefix: narvik\n", "  namingPrefix: narvik\n  ouPath: OU=Narvik,DC=a\n")]},
     "AZL007 sites/narvik.yaml:{ouPath} a local identity has no organisational unit"),
    ({TURIN: [("profile: pilot\n", "profile: pilot\ntopology: datacenter-cluster\n")]},
     "AZL008 sites/turin.yaml:{topology:} a cluster has two machines or more; the site has one"),
    ({GRAZ: [("  keyVault:", "  switchless: true\n  keyVault:")]},
     "AZL009 sites/graz.yaml:{switchless} switchless storage between 3 nodes needs an address for each of their links"),
    ({FLEET: [(PROXY, PROXY + ", proxy: {url: 'http://p.corp.example:8080', bypass: [10.0.0.0/8]}")]},
     "ARC001 fleet.yaml:{bypass} the bypass '10.0.0.0/8' is a network"),
    ({FLEET: [(PROXY, PROXY + ", proxy: {url: 'http://p.corp.example:8080', bypass: ['<local>', .svc]}")]},
     "ARC001 fleet.yaml:{bypass} the bypass '<local>' is not understood"),
    ({FLEET: [(PROXY, PROXY + ", proxy: {url: 'http://proxy.corp.local:8080'}")]},
     "ARC002 fleet.yaml:{corp.local} the proxy proxy.corp.local is in a .local domain"),
    ({FLEET: [(PROXY, PROXY + ", arcGatewayId: my-gateway")]},
     "ARC003 fleet.yaml:{arcGatewayId} 'my-gateway' is not the id of an Arc gateway"),
    ({FLEET: [("    azure: {region: autonomous}\n", "")]},
     "ARC004 fleet.yaml:{region: westeurope} disconnected operations have one region, not 'westeurope'"),
    ({FLEET: [("region: westeurope", "region: autonomous")]},
     "ARC004 fleet.yaml:{region: autonomous} the region 'autonomous' is that of disconnected operations"),
    ({NARVIK: [("  customLocation:", "  witness: {storageAccount: fleetnarvik}\n  customLocation:")]},
     "ARC005 sites/narvik.yaml:{witness} a cloud witness can't be reached from a disconnected site"),
    ({FLEET: [("mode: constrained, linkMbps: 50", "mode: constrained")]},
     "CON002 fleet.yaml:{mode: constrained} how thin the link of a constrained site is was not said"),
    ({FLEET: [("controlPlane: {count: 3, vmSize: Standard_D4s_v3}", "controlPlane: {count: 3, vmSize: Standard_D16s_v3}")]},
     "K8S001 fleet.yaml:{Standard_D16s_v3} a control plane can't run on 'Standard_D16s_v3'"),
    ({FLEET: [("agents: {vmSize: Standard_D8s_v3, count: 2}", "".join(f"p{n:02}x: {{vmSize: Standard_D8s_v3, count: 1}}\n        " for n in range(15)) + "agents: {vmSize: Standard_D8s_v3, count: 2}")]},
     "K8S002 fleet.yaml:87 17 node pools; a cluster has at most 16"),
    ({FLEET: [("controlPlane: {count: 3, vmSize: Standard_D4s_v3}", "controlPlane: {count: 1, vmSize: Standard_D4s_v3}")]},
     "K8S003 fleet.yaml:{count: 1, vmSize: Standard_D4s_v3} one control plane VM in a production cluster"),
    ({FLEET: [("inference: {vmSize: Standard_D8s_v3, count: 1}", "inference: {vmSize: Standard_A4_v2, count: 1}")]},
     "K8S004 fleet.yaml:{inference: {vmSize: Standard_A4_v2} Standard_A4_v2 has 8 GiB; chat needs a worker of 16 GiB or more"),
    ({FLEET: [("systemPool: agents", "systemPool: agent")]}, "K8S005 fleet.yaml:{systemPool} the system pool 'agent' is no node pool of the site"),
    ({FLEET: [("      controlPlane: {count: 3,", "      systemPool: inference\n      controlPlane: {count: 3,")]},
     "K8S005 fleet.yaml:{systemPool: inference} the system pool 'inference' has GPUs"),
    ({FLEET: [("vmSize: Standard_NC16_L4_1, count: 2", "vmSize: Standard_NC16_L4_2, count: 4")]},
     "GPU002 fleet.yaml:{perNode} the node pools take 8 GPUs; the site has 6"),
    ({FLEET: [("vmSize: Standard_NC16_L4_1, count: 2", "vmSize: Standard_NC16_L4_1, count: 6")]},
     "GPU003 fleet.yaml:{Standard_NC16_L4_1} no GPU is spare to upgrade the node pool 'inference': the upgrade would hang"),
    ({FLEET: [("sharing: none", "sharing: mig")]}, "GPU004 fleet.yaml:{sharing: mig} a L4 can't be cut into MIG instances"),
    ({FLEET: [("runtime: foundry-local\n", "runtime: vllm\n")]}, "INF002 fleet.yaml:{runtime: vllm} vLLM is served from GPUs only here"),
    ({FLEET: [("        replicas: 2\n        contextTokens", "        replicas: 3\n        contextTokens")]},
     "INF003 fleet.yaml:{replicas: 3} 3 GPUs are asked of the node pool 'inference', which has 2"),
    ({FLEET: [("      precision: int4\n", "      precision: fp16\n"), ("contextTokens: 4096", "contextTokens: 65536")]},
     "INF004 fleet.yaml:{model: phi-4-mini} phi-4-mini in fp16 takes 23.3 GiB; half of a Standard_D8s_v3 is 16"),
    ({FLEET: [("modelCache: {storageGib: 200}", "modelCache: {storageGib: 10}")]},
     "INF005 fleet.yaml:{storageGib: 10} the site's models take 14 GiB with the versions before them; the cache has 10"),
    ({FLEET: [("timeoutSeconds: 30", "timeoutSeconds: 20")]},
     "INF006 fleet.yaml:{timeoutSeconds: 20} 'maf-agent-api' gives up after 20 s; 'chat' may take 25 s by its own promise"),
    ({FLEET: [("      replicas: 2\n      inference: chat", "      replicas: 1\n      inference: chat")]},
     "AGT004 fleet.yaml:{replicas: 1} 'maf-agent-api' has one replica in production"),
    ({FLEET: [("maxRetries: 2", "maxRetries: 5")]}, "AGT005 fleet.yaml:{maxRetries} 'maf-agent-api' asks 6 times before it gives up"),
    ({GRAZ: [("cidr: 10.30.8.21/32", "cidr: 0.0.0.0/0")]},
     "TOL002 sites/graz.yaml:{0.0.0.0/0} the tool 'work-orders' may reach all of 0.0.0.0/0"),
    ({NARVIK: [("resourceGroup: rg-fleet-narvik", "resourceGroup: RG-fleet-graz"), ("clusterName: narvik-hci", "clusterName: graz-hci")]},
     "FLT001 sites/narvik.yaml:{clusterName} narvik's cluster 'graz-hci' is graz's already"),
    ({NARVIK: [("resourceGroup: rg-fleet-narvik", "resourceGroup: rg-fleet-graz"), ("name: narvik-aks", "name: graz-aks")]},
     "FLT002 sites/narvik.yaml:{graz-aks} narvik's AKS cluster 'graz-aks' is graz's already"),
    ({NARVIK: [("keyVault: kv-fleet-narvik", "keyVault: KV-fleet-graz")]},
     "FLT003 sites/narvik.yaml:{keyVault} narvik's key vault 'kv-fleet-graz' is graz's already"),
    ({TURIN: [("  customLocation:", "  witness: {storageAccount: fleetwitnessgraz}\n  customLocation:")]},
     "FLT004 sites/turin.yaml:{storageAccount} turin's witness 'fleetwitnessgraz' is graz's already"),
    ({NARVIK: [("host: registry.narvik.factory.example", "host: registry.graz.factory.example")]},
     "FLT005 sites/narvik.yaml:{registry:} narvik's registry 'registry.graz.factory.example' is graz's already"),
    ({NARVIK: [("resourceGroup: rg-fleet-narvik", "resourceGroup: rg-fleet-graz"), ("customLocation: narvik-location", "customLocation: graz-location")]},
     "FLT006 sites/narvik.yaml:{customLocation} narvik's custom location 'graz-location' is graz's already"),
]  # fmt: skip

NEAR_MISSES: list[Edits] = [
    # exactly as many addresses as the cluster takes
    {GRAZ: [(POOL, "pool: {start: 10.30.2.16, end: 10.30.2.24}")]},
    {GRAZ: [("loadBalancer: {start: 10.30.2.80", "loadBalancer: {start: 10.30.2.61")]},
    # sites that can't reach each other may use the same networks
    {NARVIK: [("management: {cidr: 10.40.1.0/24", "management: {cidr: 10.40.0.0/23"), ("ring: broad\n", "ring: broad\nroutingDomain: sea\n")]},
    {GRAZ: [("dns: [10.30.1.4]}", "dns: [10.112.0.1]}")]},
    {GRAZ: [("    - {name: graz-n3, ip: 10.30.1.13}\n", ""), ("graz-n2", "graz-n2")]},
    {FLEET: [(PROXY, PROXY + ", proxy: {url: 'http://p.corp.example:8080', bypass: ['*.corp.example', 192.168.1.*]}")]},
    {FLEET: [(PROXY, PROXY + ", arcGatewayId: /subscriptions/7c1d9a52-0000-4000-8000-0000000000f1/resourceGroups/a/providers/Microsoft.HybridCompute/gateways/g")]},
    {FLEET: [("vmSize: Standard_NC16_L4_1, count: 2", "vmSize: Standard_NC16_L4_1, count: 5")]},
    {FLEET: [("modelCache: {storageGib: 200}", "modelCache: {storageGib: 15}")]},
    {FLEET: [("timeoutSeconds: 30", "timeoutSeconds: 25")]},
    {FLEET: [("      precision: int4\n", "      precision: fp16\n")]},
    {GRAZ: [("cidr: 10.30.8.21/32", "cidr: 10.30.0.0/16")]},
    {NARVIK: [("clusterName: narvik-hci", "clusterName: graz-hci")]},

    # connected needs neither registry nor cache
    {FLEET: [("connectivity: {mode: constrained, linkMbps: 50}", "connectivity: {mode: connected}"), ("    modelCache: {storageGib: 200}\n", "")]},
    # the last network before the services, and the first after them
    {FLEET: [("podCidr: 10.244.0.0/16", "podCidr: 10.95.0.0/16")]},
    {FLEET: [("podCidr: 10.244.0.0/16", "podCidr: 10.112.0.0/16")]},
    # AKS may share the management network
    {GRAZ: [("vip: 10.30.2.16", "vip: 10.30.1.120"), ("    cidr: 10.30.2.0/24", "    cidr: 10.30.1.0/24"), ("gateway: 10.30.2.1", "gateway: 10.30.1.1"),
            (POOL, "pool: {start: 10.30.1.120, end: 10.30.1.160}"), ("start: 10.30.2.80, end: 10.30.2.90", "start: 10.30.1.180, end: 10.30.1.190")]},
    # exactly six, and exactly 255 addresses
    {GRAZ: [("end: 10.30.1.110}", "end: 10.30.1.105}")]},
    {GRAZ: [("start: 10.30.1.100, end: 10.30.1.110", "start: 10.30.1.0, end: 10.30.1.254"),
            ("management: {cidr: 10.30.1.0/24, gateway: 10.30.1.1, dns: [10.30.1.4]}", "management: {cidr: 10.30.0.0/23, gateway: 10.30.0.1, dns: [10.30.0.4]}"),
            ("10.30.1.11}", "10.30.0.11}"), ("10.30.1.12}", "10.30.0.12}"), ("10.30.1.13}", "10.30.0.13}"), ("dns: [10.30.1.4]", "dns: [10.30.0.4]")]},
    # a node right beside the pool
    {GRAZ: [("graz-n2, ip: 10.30.1.12", "graz-n2, ip: 10.30.1.99")]},
    {FLEET: [("vmSize: Standard_NC16_L4_1", "vmSize: Standard_NC32_L4_2")]},
    # 9 sessions of 8,192 tokens a replica: 18.9 GiB of the 20.2 that an L4 leaves
    {FLEET: [("concurrentSessions: 16", "concurrentSessions: 17")]},
    {TURIN: [("tools:\n  work-orders:\n", "tools:\n  work-orders:\n    image: r.example/t:1@sha256:" + "0" * 64 + "\n")]},
    {GRAZ: [("line: assembly", "line: sk-short")]},
    {FLEET: [("tools: [work-orders]", "tools: []")]},
]  # fmt: skip


@pytest.mark.parametrize(("edits", "expected"), FIRES, ids=[f"{e[:6]}-{n}" for n, (_, e) in enumerate(FIRES)])
def test_fires(edits: Edits, expected: str) -> None:
    if marker := re.search(r":\{(.+?)\} (?=[^}]*$)", expected):  # the line that holds this text
        path = expected.split()[1].partition(":")[0]
        line = line_of(factory_files(edits), path, marker[1])
        expected = expected.replace(marker[0], f":{line} ")
    found = places(check(edits))
    assert any(text.startswith(expected) for text in found), found


@pytest.mark.parametrize("edits", NEAR_MISSES, ids=range(len(NEAR_MISSES)))
def test_near_misses_stay_silent(edits: Edits) -> None:
    assert places(check(edits)) == []


def test_every_rule_fires_somewhere_above() -> None:
    assert {rule.code for rule in installed_rules()} == {expected[:6] for _, expected in FIRES}


def test_every_finding_says_what_to_type() -> None:
    for edits, _ in FIRES:
        assert all(d.help for d in check(edits) if not d.code.startswith("INV")), edits


def test_no_diagnostic_shows_the_secret_that_it_found() -> None:
    secret = "sk-" + "a1B2" * 8
    assert secret not in repr(check({GRAZ: [("line: assembly", f"line: {secret}")]}))
