"""The platform of a site: limits, certificates, entry, secrets, policies; what is off renders nothing."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.app.validate import validate
from fleet.diagnostics.diagnostic import FleetError
from fleet.inventory.rule import installed_rules
from fleet.model.site import SiteSpec
from fleet.render import certificates, policies, secrets
from fleet.render.tree import render_site
from tests.bench.generate_fleet import generate
from tests.conformance.network_policies import Place, allowed
from tests.factory import check, factory_files, load, places

Object = dict[str, Any]
GUID = "11111111-2222-4333-8444-555555555555"
VAULT = {"name": "kv-agents", "clientId": GUID}


def site(name: str = "turin", /, **edits: Mapping[str, Any]) -> SiteSpec:
    """A site of the example with these keys of its file laid over."""
    files = factory_files()
    path = f"sites/{name}.yaml"
    text = yaml.safe_load(files[path])
    for key, value in edits.items():
        text[key] = merged(text.get(key, {}), value)
    inventory, _ = load(files | {path: yaml.safe_dump(text)}, rules=[])
    assert inventory is not None
    found = inventory.site(name)
    assert found is not None
    return found.spec


def merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
    return new


def objects(spec: SiteSpec, below: str = "") -> Iterator[Object]:
    for path, text in render_site(spec).files.items():
        if path.startswith(below) and not path.endswith("/kustomization.yaml"):
            yield from (document for document in yaml.safe_load_all(text) if document)


def of_kind(spec: SiteSpec, kind: str) -> dict[tuple[str, str], Object]:
    """The objects of a kind by namespace and name."""
    return {
        (o["metadata"].get("namespace", ""), o["metadata"]["name"]): o
        for o in objects(spec)
        if o["kind"] == kind
    }


def parts(spec: SiteSpec) -> dict[str, Object]:
    """Flux's Kustomizations, which are in the tree's entry."""
    return {
        o["metadata"]["name"]: o["spec"]
        for o in objects(spec, "clusters/")
        if o["apiVersion"].startswith("kustomize.toolkit")
    }


def values(spec: SiteSpec, release: str) -> Object:
    found: Object = of_kind(spec, "HelmRelease")["flux-system", release]["spec"]["values"]
    return found


# Quotas


def millis(text: Any) -> int:
    text = str(text)
    return int(text[:-1]) if text.endswith("m") else int(text) * 1000


def mib(text: str) -> int:
    return int(text[:-2]) * (1024 if text.endswith("Gi") else 1)


def asked(spec: SiteSpec, namespace: str) -> tuple[int, int, int]:
    """Processors in millis, memory in MiB and pods that the rendered Deployments of a namespace ask for."""
    cpu = memory = pods = 0
    for (place, _), deployment in of_kind(spec, "Deployment").items():
        if place == namespace:
            replicas = deployment["spec"].get("replicas", 1)
            containers = deployment["spec"]["template"]["spec"]["containers"]
            requests = [container["resources"]["requests"] for container in containers]
            cpu += replicas * sum(millis(request["cpu"]) for request in requests)
            memory += replicas * sum(mib(request["memory"]) for request in requests)
            pods += replicas
    return cpu, memory, pods


def check_fits(spec: SiteSpec) -> None:
    found = of_kind(spec, "ResourceQuota")
    for namespace in ("platform", "agents", "tools"):
        hard = found[namespace, "nodes"]["spec"]["hard"]
        cpu, memory, pods = asked(spec, namespace)
        assert 0 < cpu <= millis(hard["requests.cpu"]), (spec.name, namespace)
        assert memory <= mib(hard["requests.memory"]), (spec.name, namespace)
        assert pods <= int(hard["pods"]), (spec.name, namespace)


@pytest.mark.parametrize("name", ["graz", "narvik", "turin"])
def test_what_an_example_asks_for_fits_its_quotas(name: str) -> None:
    check_fits(site(name))


def test_what_generated_sites_ask_for_fits_their_quotas(tmp_path: Path) -> None:
    generate(30, tmp_path)
    files = {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in sorted(tmp_path.rglob("*.yaml"))}
    inventory, _ = load(files, rules=[])
    assert inventory is not None
    for each in inventory.sites:
        check_fits(each.spec)


def test_a_quota_is_what_the_nodes_of_the_namespaces_pools_hold_at_their_most() -> None:
    pools = {"agents": {"autoscale": {"minCount": 1, "maxCount": 3}}}
    hard = of_kind(site(kubernetes={"nodePools": pools}), "ResourceQuota")["agents", "nodes"]["spec"]["hard"]
    # Three of Standard_D4s_v3: 4 processors, 16 GiB of which pods get 7/8.
    assert hard == {
        "requests.cpu": "12",
        "requests.memory": "42Gi",
        "pods": "330",
        "requests.nvidia.com/gpu": "0",
        "services.nodeports": "0",
        "services.loadbalancers": "0",
    }


def test_no_quota_where_a_vm_size_is_unknown() -> None:
    unknown = site(kubernetes={"nodePools": {"agents": {"vmSize": "Standard_X1"}}})
    # Agents and tools are on that pool; charts of the others may be.
    assert of_kind(unknown, "ResourceQuota") == {}


def test_a_container_that_asks_for_nothing_is_let_in() -> None:
    ranges = of_kind(site(), "LimitRange")
    assert set(ranges) == {(name, "requests") for name in ("platform", "agents", "tools", "observability")}
    assert all("defaultRequest" in each["spec"]["limits"][0] for each in ranges.values())


# Certificates


@pytest.mark.parametrize("auth", ["token", "mtls"])
@pytest.mark.parametrize("name", ["graz", "narvik", "turin"])
def test_every_certificate_that_a_pod_mounts_is_made(name: str, auth: str) -> None:
    spec = site(name, platform={"serviceAuth": auth})
    made = {(space, c["spec"]["secretName"]) for (space, _), c in of_kind(spec, "Certificate").items()}
    mounted = {
        (space, volume["secret"]["secretName"])
        for (space, _), deployment in of_kind(spec, "Deployment").items()
        for volume in deployment["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    }
    assert {secret for _, secret in mounted} >= {"chat-tls", "work-orders-tls"}
    assert mounted <= made


def test_a_certificate_is_for_the_names_of_its_service_as_long_as_the_inventory_says() -> None:
    spec = site(platform={"certificates": {"validDays": 60, "renewDaysBefore": 20}})
    chat = of_kind(spec, "Certificate")["platform", "chat-tls"]["spec"]
    assert "chat.platform.svc.cluster.local" in chat["dnsNames"]
    assert (chat["duration"], chat["renewBefore"]) == ("1440h", "480h")
    assert chat["issuerRef"]["name"] == certificates.ISSUER


def test_the_gateway_before_foundry_locals_extension_gets_a_certificate_too() -> None:
    spec = site(inference={"chat": {"runtime": "foundry-local-azure-local"}})
    (found,) = (name for name in certificates.names(spec) if name.secret == "chat-tls")
    assert found.names[0] == "chat.platform.svc.cluster.local"


def test_who_signs() -> None:
    def issuers(issuer: str) -> tuple[list[str], bool, str]:
        more = {"acmeServer": "https://ca.example/acme"} if issuer == "acme" else {}
        spec = site(platform={"certificates": {"issuer": issuer, **more}})
        found = of_kind(spec, "Certificate")
        names = [name for _, name in of_kind(spec, "ClusterIssuer")]
        return (
            sorted(names),
            ("cert-manager", "fleet-ca") in found,
            found["agents", "ingress-tls"]["spec"]["issuerRef"]["name"],
        )

    assert issuers("private-ca") == (["fleet"], False, "fleet")
    assert issuers("self-signed") == (["fleet", "fleet-root"], True, "fleet")
    assert issuers("acme") == (["fleet", "fleet-acme", "fleet-root"], True, "fleet-acme")


def test_what_clients_trust_is_where_they_mount_it() -> None:
    spec = site()
    bundle = of_kind(spec, "Bundle")["", "fleet-ca"]["spec"]
    assert bundle["target"]["configMap"] == {"key": "ca-bundle.crt"}
    namespaces = bundle["target"]["namespaceSelector"]["matchExpressions"][0]["values"]
    mounting = {
        space
        for (space, _), deployment in of_kind(spec, "Deployment").items()
        for volume in deployment["spec"]["template"]["spec"]["volumes"]
        if volume.get("configMap", {}).get("name") == "fleet-ca"
    }
    assert mounting <= set(namespaces)


def test_cert_manager_is_installed_only_where_azure_does_not_bring_it() -> None:
    assert "cert-manager" not in {name for _, name in of_kind(site("turin"), "HelmRelease")}
    found = of_kind(site("narvik"), "HelmRelease")
    assert found["flux-system", "trust-manager"]["spec"]["dependsOn"] == [{"name": "cert-manager"}]
    assert found["flux-system", "cert-manager"]["spec"]["targetNamespace"] == "cert-manager"
    assert ("", "cert-manager") in of_kind(site("narvik"), "Namespace")
    order = parts(site("narvik"))
    assert {d["name"] for d in order["certificates"]["dependsOn"]} == {"platform", "controllers"}


def test_a_component_without_a_digest_is_said_by_a_rule_and_refused_by_rendering() -> None:
    files = factory_files()
    line = next(row for row in files["fleet.yaml"].splitlines() if row.startswith("    cert-manager:"))
    files["fleet.yaml"] = files["fleet.yaml"].replace(f"{line}\n", "")
    inventory, shape = load(files, rules=[])
    assert inventory is not None
    found = [d for d in validate(inventory, shape, installed_rules()) if d.code == "CMP001"]
    assert ["cert-manager" in d.message for d in found] == [True]
    narvik, turin = inventory.site("narvik"), inventory.site("turin")
    assert narvik is not None
    assert turin is not None
    with pytest.raises(FleetError, match="cert-manager is switched on") as caught:
        render_site(narvik.spec)
    assert caught.value.code == "TPL003"
    render_site(turin.spec)


# Ingress


KINDS = {"traefik": "traefik", "nginx": "nginx-ingress", "kong": "kong"}


def test_without_an_ingress_there_is_none() -> None:
    spec = site()
    without = spec.model_copy(update={"platform": spec.platform.model_copy(update={"ingress": None})})
    assert not {"ingress", "controllers"} & parts(without).keys()
    assert ("agents", "ingress-tls") not in of_kind(without, "Certificate")


@pytest.mark.parametrize("kind", KINDS)
def test_the_controller_keeps_its_clients_addresses_and_serves_tls_alone(kind: str) -> None:
    text = yaml.safe_dump(values(site(platform={"ingress": {"kind": kind}}), KINDS[kind]))
    assert "externalTrafficPolicy: Local" in text
    assert "type: LoadBalancer" in text
    assert "fleet/role: ingress" in text
    # Without addresses of its own a load balancer's would be waited for without end.
    spec = site(platform={"ingress": {"kind": kind}}, kubernetes={"network": {"loadBalancer": None}})
    assert "type: NodePort" in yaml.safe_dump(values(spec, KINDS[kind]))


def test_traefik_is_told_what_the_inventory_says() -> None:
    spec = site("graz", platform={"ingress": {"readTimeoutSeconds": 900, "requestsPerMinute": 120}})
    told = values(spec, "traefik")
    assert told["deployment"]["replicas"] == 2
    assert values(site("turin"), "traefik")["deployment"]["replicas"] == 1
    assert told["ports"]["web"]["expose"] == {"default": False}
    assert told["ports"]["websecure"]["transport"]["respondingTimeouts"]["readTimeout"] == "900s"
    transport = of_kind(spec, "ServersTransport")["agents", "ingress"]["spec"]
    assert transport["forwardingTimeouts"]["responseHeaderTimeout"] == "900s"
    limit = of_kind(spec, "Middleware")["agents", "ingress-limit"]["spec"]["rateLimit"]
    assert (limit["average"], limit["period"]) == (120, "1m")
    assert of_kind(spec, "TLSOption")["agents", "ingress"]["spec"]["minVersion"] == "VersionTLS12"


def agents(callers: list[str]) -> Mapping[str, Any]:
    """A second agent whose name begins like the first one's."""
    return {
        "maf-agent-api-2": {
            "image": f"registry.factory.example/agents/two:1@sha256:{'0' * 64}",
            "inference": "chat",
            "apiKey": {"kubernetes": {"name": "second", "key": "KEY"}},
            "callers": callers,
        }
    }


def paths(spec: SiteSpec, kind: str) -> list[str]:
    if kind == "traefik":
        routes = of_kind(spec, "IngressRoute")["agents", "ingress"]["spec"]["routes"]
        return [route["match"].partition("PathPrefix(`")[2].removesuffix("`)") for route in routes]
    rules = of_kind(spec, "Ingress")["agents", "ingress"]["spec"]["rules"]
    return [path["path"] for path in rules[0]["http"]["paths"]]


@pytest.mark.parametrize("kind", KINDS)
def test_it_leads_to_agents_that_name_no_callers(kind: str) -> None:
    ingress = {"ingress": {"kind": kind}}
    both = site(platform=ingress, agents=agents([]))
    assert paths(both, kind) == ["/maf-agent-api/", "/maf-agent-api-2/"]
    one = site(platform=ingress, agents=agents(["tools"]))
    assert paths(one, kind) == ["/maf-agent-api/"]
    services = of_kind(both, "Service")
    if kind != "traefik":
        for path in of_kind(both, "Ingress")["agents", "ingress"]["spec"]["rules"][0]["http"]["paths"]:
            backend = path["backend"]["service"]
            ports = services["agents", backend["name"]]["spec"]["ports"]
            assert backend["port"]["name"] in {port["name"] for port in ports}


def test_a_name_that_begins_another_strips_no_part_of_it() -> None:
    prefixes = of_kind(site(agents=agents([])), "Middleware")["agents", "ingress-paths"]["spec"]
    assert prefixes["stripPrefix"]["prefixes"] == ["/maf-agent-api/", "/maf-agent-api-2/"]


def test_who_may_reach_it() -> None:
    entry = Place("ingress", "10.244.9.9", "platform", {"fleet/role": "ingress"})

    def let_in(spec: SiteSpec, address: str, port: int = 8443) -> bool:
        found = list(of_kind(spec, "NetworkPolicy").values())
        return allowed(found, Place("client", address), entry, port)

    own = site()
    assert let_in(own, "10.20.1.77")
    assert not let_in(own, "10.99.1.5")
    assert not let_in(own, "10.20.1.77", 8000)
    named = site(platform={"ingress": {"allowedCidrs": ["10.99.0.0/16"]}})
    assert let_in(named, "10.99.1.5")
    assert not let_in(named, "10.20.1.77")
    acme = site(platform={"certificates": {"issuer": "acme", "acmeServer": "https://ca.example/acme"}})
    assert let_in(acme, "203.0.113.9", 8000)
    assert not let_in(acme, "203.0.113.9")


def test_the_controller_reaches_the_api_server_and_no_other_address() -> None:
    spec = site()
    found = list(of_kind(spec, "NetworkPolicy").values())
    entry = Place("ingress", "10.244.9.9", "platform", {"fleet/role": "ingress"})
    stranger = Place("other", "10.244.9.8", "platform", {"app": "other"})
    control_plane = Place("api", str(spec.kubernetes.control_plane.vip))
    assert allowed(found, entry, control_plane, 6443)
    assert not allowed(found, stranger, control_plane, 6443)
    assert not allowed(found, entry, Place("internet", "203.0.113.9"), 443)


@pytest.mark.parametrize(
    ("azure", "internet"), [({}, False), ({"azureMonitor": True}, True)], ids=["local", "azure monitor"]
)
def test_telemetry_leaves_the_cluster_for_azure_monitor_alone(azure: Object, internet: bool) -> None:
    found = list(of_kind(site(telemetry=azure), "NetworkPolicy").values())
    collector = Place("collector", "10.244.9.2", "observability", {"app": "other"})
    assert allowed(found, collector, Place("internet", "203.0.113.9"), 443) == internet
    assert not allowed(found, collector, Place("internet", "203.0.113.9"), 80)
    assert allowed(found, collector, Place("dns", "10.244.9.7", "kube-system", {"k8s-app": "kube-dns"}), 53)
    stranger = Place("stranger", "10.244.9.4", "default", {"app": "stranger"})
    assert not allowed(found, stranger, collector, 4317)


def test_nobody_but_flux_reaches_flux() -> None:
    found = list(of_kind(site(), "NetworkPolicy").values())
    source = Place("source", "10.244.9.3", "flux-system", {"app": "source-controller"})
    kustomize = Place("kustomize", "10.244.9.4", "flux-system", {"app": "kustomize-controller"})
    assert allowed(found, kustomize, source, 9090)
    assert allowed(found, source, Place("registry", "203.0.113.9"), 443)
    for namespace in ("agents", "tools", "default", "observability"):
        assert not allowed(found, Place("other", "10.244.9.5", namespace, {}), source, 9090), namespace


# Secrets


def test_without_a_vault_somebody_else_brings_the_secrets() -> None:
    assert "secrets" not in parts(site())
    assert "secrets" not in parts(
        site("narvik", platform={"secretStore": {"kind": "key-vault", "vault": VAULT}})
    )


def test_a_vaults_secrets_become_those_that_workloads_name() -> None:
    spec = site(platform={"secretStore": {"vault": VAULT}})
    syncs = of_kind(spec, "SecretSync")
    assert set(syncs) == {("agents", "agent-secrets"), ("cert-manager", "fleet-ca")}
    sync = syncs["agents", "agent-secrets"]["spec"]
    assert sync["secretObject"]["data"] == [
        {"sourcePath": "agent-secrets-FOUNDRY-API-KEY", "targetKey": "FOUNDRY_API_KEY"}
    ]
    asked_for = of_kind(spec, "SecretProviderClass")["agents", sync["secretProviderClassName"]]["spec"]
    assert asked_for["parameters"]["clientID"] == GUID
    listed = [yaml.safe_load(text) for text in yaml.safe_load(asked_for["parameters"]["objects"])["array"]]
    assert listed == [{"objectName": "agent-secrets-FOUNDRY-API-KEY", "objectType": "secret"}]
    assert ("agents", sync["serviceAccountName"]) in of_kind(spec, "ServiceAccount")
    assert {"name": "secrets"} in parts(spec)["certificates"]["dependsOn"]


def test_services_secrets_are_asked_for_in_their_namespace() -> None:
    auth = {"kubernetes": {"name": "valkey", "key": "password"}}
    found = secrets.wanted(site(services={"redis": {"storageGib": 5, "auth": auth}}))
    assert ("platform", "valkey", (("password", "valkey-password"),), "Opaque") in found


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [("a", "B_C", "a-B-C"), ("a", "tls.crt", "a-tls-crt"), ("a-b", "_x", "a-b-x")],
)
def test_a_vaults_names_are_letters_digits_and_dashes(name: str, key: str, expected: str) -> None:
    assert secrets.vault_name(name, key) == expected


def test_a_wrong_vault_is_said_at_its_line() -> None:
    vault = "platform: {secretStore: {vault: {name: kv_agents, clientId: me}}, ingress:"
    found = places(check({"sites/turin.yaml": [("platform: {ingress:", vault)]}))
    assert len([row for row in found if "secretStore" in row or "vault" in row]) == 2


def test_every_part_is_decrypted_with_sops_and_none_without() -> None:
    assert all(part["decryption"]["provider"] == "sops" for part in parts(site("narvik")).values())
    assert not any("decryption" in part for part in parts(site("turin")).values())


# Runtimes and policies


def test_a_runtime_class_is_tied_to_the_only_pool_that_has_it() -> None:
    taint = {"key": "sandbox", "value": "yes", "effect": "NoSchedule"}
    pools = {"agents": {"sandboxRuntimes": ["gvisor"], "taints": [taint]}}
    one = of_kind(site(kubernetes={"nodePools": pools}), "RuntimeClass")
    assert list(one) == [("", "gvisor")]
    assert one["", "gvisor"]["handler"] == "runsc"
    assert one["", "gvisor"]["scheduling"]["nodeSelector"] == {"fleet/node-pool": "agents"}
    assert one["", "gvisor"]["scheduling"]["tolerations"][0]["key"] == "sandbox"
    pools["inference"] = {"sandboxRuntimes": ["gvisor", "kata"]}
    both = of_kind(site(kubernetes={"nodePools": pools}), "RuntimeClass")
    assert "scheduling" not in both["", "gvisor"]
    assert both["", "kata"]["scheduling"]["nodeSelector"] == {"fleet/node-pool": "inference"}
    assert of_kind(site(), "RuntimeClass") == {}


def test_kyverno_gets_a_policy_for_each_rule() -> None:
    spec = site("graz", platform={"policies": {"admission": "kyverno"}})
    found = of_kind(spec, "ValidatingPolicy")
    assert {name for _, name in found} == {f"fleet-{rule.name}" for rule in policies.refusals(spec)}
    registries = found["", "fleet-image-registries"]["spec"]
    assert "'registry.graz.factory.example/'" in registries["validations"][0]["expression"]
    assert registries["validationActions"] == ["Deny"]
    assert {d["name"] for d in parts(spec)["policies"]["dependsOn"]} == {"platform", "controllers"}


def test_gatekeeper_gets_templates_and_then_constraints() -> None:
    spec = site(platform={"policies": {"admission": "gatekeeper"}})
    templates = of_kind(spec, "ConstraintTemplate")
    for (_, name), template in templates.items():
        kind = template["spec"]["crd"]["spec"]["names"]["kind"]
        assert name == kind.lower()
        assert len(of_kind(spec, kind)) == 1
    assert parts(spec)["constraints"]["dependsOn"] == [{"name": "policies"}]


def test_images_may_come_from_where_the_inventory_has_them() -> None:
    assert policies.registries(site("graz")) == ("registry.graz.factory.example",)
    assert {"registry.factory.example", "docker.io"} <= set(policies.registries(site("turin")))


def test_azure_policy_and_none_render_nothing() -> None:
    for admission in ("azure-policy", "none"):
        assert "policies" not in parts(site(platform={"policies": {"admission": admission}}))


def test_falco_alone_is_privileged() -> None:
    def levels(spec: SiteSpec) -> dict[str, str]:
        label = "pod-security.kubernetes.io/enforce"
        return {name: o["metadata"]["labels"][label] for (_, name), o in of_kind(spec, "Namespace").items()}

    spec = site(platform={"policies": {"runtimeDetection": "falco"}})
    assert [name for name, level in levels(spec).items() if level == "privileged"] == ["falco"]
    assert "privileged" not in levels(site()).values()
    assert values(spec, "falco")["falcoctl"]["artifact"]["install"] == {"enabled": False}


def test_charts_pull_from_the_sites_registry_by_digest_where_the_inventory_has_one() -> None:
    image, digest = "docker.io/library/traefik:v3.7.11", f"sha256:{'a' * 64}"
    spec = site("graz", components={"traefik": {"images": {image: digest}}})
    assert values(spec, "traefik")["image"] == {
        "registry": "registry.graz.factory.example",
        "repository": "library/traefik",
        "tag": f"v3.7.11@{digest}",
    }
