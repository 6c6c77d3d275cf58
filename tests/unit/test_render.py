"""The rendered tree: what is in it, and that it is the same bytes every time."""

import io
import json
import os
import subprocess
import sys
import tarfile
from typing import Any

import pytest
import yaml

from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.render.artifact import artifact_url, tree_artifact
from fleet.render.section import NAMESPACES
from fleet.render.templating import render_template, to_yaml
from fleet.render.tree import RenderedTree, render_site
from tests.factory import ROOT, factory_inventory

SITES = ["graz", "narvik", "turin"]


def spec_of(name: str, **edits: Any) -> SiteSpec:
    site = factory_inventory(**edits).site(name)
    assert site is not None
    return site.spec


def objects(tree: RenderedTree) -> list[dict[str, Any]]:
    return [
        document
        for path, text in tree.files.items()
        if path.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if (document and document["kind"] != "Kustomization") or (document and "spec" in document)
    ]


def by_kind(tree: RenderedTree, kind: str) -> list[dict[str, Any]]:
    return [item for item in objects(tree) if item["kind"] == kind]


@pytest.mark.parametrize("site", SITES)
def test_the_same_spec_gives_the_same_bytes(site: str) -> None:
    first, second = render_site(spec_of(site)), render_site(spec_of(site))
    assert first.files == second.files
    assert tree_artifact(first) == tree_artifact(second)


def test_another_process_with_another_hash_seed_and_locale_gives_the_same_digests() -> None:
    code = (
        "from tests.factory import factory_inventory\n"
        "from fleet.render.tree import render_site\n"
        "from fleet.render.artifact import tree_artifact\n"
        "print([(s.spec.digest, tree_artifact(render_site(s.spec)).digest) for s in factory_inventory().sites])\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale, "TZ": zone},
        ).stdout
        for seed, locale, zone in (("1", "C", "UTC"), ("77", "C.UTF-8", "Asia/Tokyo"))
    }  # fmt: skip
    assert len(outputs) == 1


def test_pods_tolerate_the_taints_of_their_own_pool_only() -> None:
    taint = 'taints: [{key: gpu, value: "yes", effect: NoExecute}], '
    edits = {
        "fleet.yaml": [
            ("inference: {vmSize: Standard_NC16_L4_1, ", f"inference: {{{taint}vmSize: Standard_NC16_L4_1, ")
        ]
    }
    tree = render_site(spec_of("graz", edits=edits))
    pods = {d["metadata"]["name"]: d["spec"]["template"]["spec"] for d in by_kind(tree, "Deployment")}
    assert pods["chat"]["tolerations"] == [
        {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoExecute"}
    ]
    assert "tolerations" not in pods["maf-agent-api"]
    assert "tolerations" not in pods["work-orders"]


def test_an_agents_resources_policies_and_callers_are_the_inventorys() -> None:
    more = (
        "      resources: {cpuMillis: 1500, memoryMib: 1024, cpuLimitMillis: 3000, memoryLimitMib: 1536}\n"
        "      callers: [tools]\n"
    )
    edits = {
        "fleet.yaml": [
            ("      inference: chat\n", f"      inference: chat\n{more}"),
            ("maxConcurrency: 16}", "maxConcurrency: 16, deadlineSeconds: 120, maxTurns: 4}"),
        ]
    }
    tree = render_site(spec_of("graz", edits=edits))
    agent = next(d for d in by_kind(tree, "Deployment") if d["metadata"]["name"] == "maf-agent-api")
    assert agent["spec"]["template"]["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "1500m", "memory": "1Gi"},
        "limits": {"cpu": "3", "memory": "1536Mi"},
    }
    config = next(c for c in by_kind(tree, "ConfigMap") if c["metadata"]["name"] == "maf-agent-api-config")[
        "data"
    ]
    assert (config["AGENT_DEADLINE_SECONDS"], config["AGENT_MAX_TURNS"]) == ("120", "4")
    policy = next(p for p in by_kind(tree, "NetworkPolicy") if p["metadata"]["name"] == "maf-agent-api-allow")
    sources = [s["namespaceSelector"]["matchLabels"] for s in policy["spec"]["ingress"][0]["from"]]
    assert sources == [{"kubernetes.io/metadata.name": "tools"}]


def test_a_replicas_memory_is_the_inventorys_where_it_says_one() -> None:
    edits = {
        "fleet.yaml": [("      contextTokens: 4096\n", "      contextTokens: 4096\n      memoryGib: 12.5\n")]
    }
    tree = render_site(spec_of("turin", edits=edits))  # a Standard_D8s_v3: 8 processors, 32 GiB
    chat = next(d for d in by_kind(tree, "Deployment") if d["metadata"]["name"] == "chat")
    resources = chat["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert resources["requests"] == {"cpu": "3125m", "memory": "12800Mi"}
    assert resources["limits"]["memory"] == "12800Mi"


def test_flux_looks_as_often_as_the_inventory_says() -> None:
    edits = {"fleet.yaml": [("delivery: {registry:", "delivery: {intervalMinutes: 15, registry:")]}
    tree = render_site(spec_of("graz", edits=edits))
    assert {k["spec"]["interval"] for k in by_kind(tree, "Kustomization")} == {"15m"}


@pytest.mark.parametrize("site", SITES)
def test_every_kustomization_names_exactly_the_files_beside_it(site: str) -> None:
    files = render_site(spec_of(site)).files
    for path, text in files.items():
        if path.endswith("kustomization.yaml"):
            folder = path.rpartition("/")[0]
            beside = {p.rpartition("/")[2] for p in files if p.rpartition("/")[0] == folder} - {
                "kustomization.yaml"
            }
            assert set(yaml.safe_load(text)["resources"]) == beside


@pytest.mark.parametrize("site", SITES)
def test_flux_applies_every_folder_after_what_it_needs(site: str) -> None:
    tree = render_site(spec_of(site))
    parts = {part["metadata"]["name"]: part["spec"] for part in by_kind(tree, "Kustomization")}
    assert {part["path"] for part in parts.values()} == {
        "./" + path.rpartition("/")[0] for path in tree.files if not path.startswith("clusters/")
    }
    for spec in parts.values():
        assert (spec["interval"], spec["prune"]) == ("5m", True)
        assert spec["sourceRef"] == {"kind": "OCIRepository", "name": "fleet"}
        assert {needed["name"] for needed in spec.get("dependsOn", ())} <= parts.keys()
    assert {d["name"] for d in parts["agents"]["dependsOn"]} == {
        "platform",
        "certificates",
        "inference",
        "tools",
    }


@pytest.mark.parametrize("site", SITES)
def test_namespaces_and_their_pod_security(site: str) -> None:
    levels = {
        n["metadata"]["name"]: n["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for n in by_kind(render_site(spec_of(site)), "Namespace")
    }
    # Without a line nobody else brings cert-manager, nor its namespace.
    own = {"cert-manager": "baseline"} if site == "narvik" else {}
    assert levels == dict(NAMESPACES) | own
    assert levels["agents"] == levels["tools"] == "restricted"


@pytest.mark.parametrize("site", SITES)
def test_pods_keep_to_the_restricted_standard_and_use_pinned_images(site: str) -> None:
    for deployment in by_kind(render_site(spec_of(site)), "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert "@sha256:" in container["image"]
            assert "limits" in container["resources"]


def test_a_site_with_a_registry_pulls_everything_from_it_by_the_same_digest() -> None:
    graz, turin = (render_site(spec_of(name)) for name in ("graz", "turin"))

    def images(tree: RenderedTree) -> set[str]:
        deployments = by_kind(tree, "Deployment")
        return {c["image"] for d in deployments for c in d["spec"]["template"]["spec"]["containers"]}

    assert all(image.startswith("registry.graz.factory.example/") for image in images(graz))
    # Without one, from where the inventory and the makers name it.
    assert {image.partition("/")[0] for image in images(turin)} == {"registry.factory.example", "docker.io"}
    collector = next(i for i in images(turin) if i.startswith("docker.io/"))
    assert collector.replace("docker.io", "registry.graz.factory.example") in images(graz)
    agent = next(i for i in images(turin) if "maf-agent-api" in i)
    assert agent.replace("registry.factory.example", "registry.graz.factory.example") in images(graz)
    assert artifact_url(spec_of("graz")) == "oci://registry.graz.factory.example/fleet/graz"


def test_a_gpu_site_asks_for_gpus_and_a_cpu_site_does_not() -> None:
    def limits(site: str) -> dict[str, Any]:
        deployment = next(
            d for d in by_kind(render_site(spec_of(site)), "Deployment") if d["metadata"]["name"] == "chat"
        )
        result: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]["resources"][
            "limits"
        ]
        return result

    assert limits("graz")["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in limits("turin")


def test_agents_get_the_environment_that_their_clients_read_and_no_secret() -> None:
    tree = render_site(spec_of("graz"))
    config = next(c for c in by_kind(tree, "ConfigMap") if c["metadata"]["namespace"] == "agents")["data"]
    assert (
        config["FOUNDRY_BASE_URL"]
        == config["OPENAI_BASE_URL"]
        == "https://chat.platform.svc.cluster.local/v1"
    )
    assert config["OPENAI_CHAT_COMPLETION_MODEL"] == config["FOUNDRY_MODEL"] == "phi-4-mini"
    assert (config["INFERENCE_TIMEOUT_SECONDS"], config["INFERENCE_MAX_RETRIES"]) == ("30", "2")
    assert config["ENABLE_SENSITIVE_DATA"] == "false"
    agent = next(d for d in by_kind(tree, "Deployment") if d["metadata"]["name"] == "maf-agent-api")
    env = agent["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {e["name"]: e["valueFrom"]["secretKeyRef"] for e in env} == {
        name: {"name": "agent-secrets", "key": "FOUNDRY_API_KEY"}
        for name in ("FOUNDRY_API_KEY", "OPENAI_API_KEY")
    }
    assert not by_kind(tree, "Secret")


def test_a_hostile_value_stays_a_value() -> None:
    hostile = 'x"}\n- kind: Pod\n# {{ 7 * 7 }} <b>'
    spec = spec_of("turin").model_copy(update={"environment": hostile})
    tree = render_site(spec)
    site = next(c for c in by_kind(tree, "ConfigMap") if c["metadata"]["name"] == "fleet-site")
    assert site["data"]["environment"] == hostile
    assert not by_kind(tree, "Pod")


@pytest.mark.parametrize("value", ["yes", "No", "null", "~", "1e5", "010", "1.0", "a: b", "- a", "#x", "", " a", "é", "on", "0x1", "'", '"', "&a", "*a", "!a", "%a", "@a", "a\tb"])  # fmt: skip
def test_any_text_survives_yaml(value: str) -> None:
    assert yaml.safe_load(f"key: {to_yaml(value)}\n") == {"key": value}


def test_a_template_that_asks_for_something_missing_is_named_with_its_line() -> None:
    with pytest.raises(FleetError) as caught:
        render_template("platform/namespaces.yaml.j2", namespaces=[{"name": "x"}])
    assert caught.value.code == "TPL001"
    assert (
        caught.value.message
        == "templates/platform/namespaces.yaml.j2:8: 'dict object' has no attribute 'pod_security'"
    )


def test_the_artifact_is_a_valid_oci_manifest_over_a_readable_tar() -> None:
    tree = render_site(spec_of("graz"))
    artifact = tree_artifact(tree)
    manifest = json.loads(artifact.manifest)
    layer = artifact.blobs[manifest["layers"][0]["digest"]]
    assert len(layer) == manifest["layers"][0]["size"]
    with tarfile.open(fileobj=io.BytesIO(layer), mode="r:gz") as archive:
        members = {m.name: archive.extractfile(m) for m in archive.getmembers()}
        assert {name: stream.read().decode() for name, stream in members.items() if stream} == dict(
            tree.files
        )
        assert {(m.mtime, m.uid, m.gid, m.mode) for m in archive.getmembers()} == {(0, 0, 0, 0o644)}


def test_a_change_in_the_inventory_changes_only_what_it_should() -> None:
    before = render_site(spec_of("graz")).files
    after = render_site(spec_of("graz", edits={"fleet.yaml": [("maxRetries: 2", "maxRetries: 1")]})).files
    assert {path for path in after if after[path] != before[path]} == {"workloads/agents/maf-agent-api.yaml"}


def test_flux_waits_for_a_model_as_long_as_its_startup_probe() -> None:
    tree = render_site(spec_of("graz"))
    timeouts = {part["metadata"]["name"]: part["spec"]["timeout"] for part in by_kind(tree, "Kustomization")}
    assert timeouts["inference"] == "26m"
    chat = next(d for d in by_kind(tree, "Deployment") if d["metadata"]["name"] == "chat")["spec"]
    probe = chat["template"]["spec"]["containers"][0]["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 600 < chat["progressDeadlineSeconds"]
    # Two replicas, one after the other.
    assert chat["replicas"] * chat["progressDeadlineSeconds"] < 26 * 60
    assert chat["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_two_things_in_one_file_are_refused() -> None:
    spec = spec_of("turin", edits={"fleet.yaml": [("    maf-agent-api:\n      image", "    kustomization:\n      image"), ("      maf-agent-api: {replicas: 1}", "      kustomization: {replicas: 1}")]})  # fmt: skip
    with pytest.raises(FleetError) as caught:
        render_site(spec)
    assert (caught.value.code, caught.value.help) == ("TPL002", "rename 'kustomization'")


def test_network_policies_allow_what_is_needed_and_nothing_else() -> None:
    policies = {
        p["metadata"]["name"]: p["spec"] for p in by_kind(render_site(spec_of("graz")), "NetworkPolicy")
    }
    for namespace in ("platform", "agents", "tools"):
        assert policies[f"{namespace}-default-deny-egress"] == {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [],
        }
        assert policies[f"{namespace}-default-deny-ingress"] == {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [],
        }
        dns = policies[f"{namespace}-allow-dns"]["egress"]
        assert dns[0]["to"][0]["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}
        assert {port["port"] for port in dns[0]["ports"]} == {53}
    tool = policies["work-orders-allow"]
    assert [(e["to"][0]["ipBlock"]["cidr"], e["ports"][0]["port"]) for e in tool["egress"]] == [
        ("10.30.8.20/32", 443), ("10.30.8.21/32", 1433),
    ]  # fmt: skip
    assert tool["ingress"][0]["from"][0]["podSelector"]["matchLabels"] == {"fleet/tool-work-orders": "yes"}
    chat = policies["chat-allow"]["ingress"][0]
    assert chat["from"][0]["podSelector"]["matchLabels"] == {"fleet/inference": "chat"}
    assert chat["ports"] == [{"protocol": "TCP", "port": 8443}]
    agent = policies["maf-agent-api-allow"]["egress"]
    assert [e["to"][0]["podSelector"]["matchLabels"]["app"] for e in agent] == ["chat", "work-orders"]
