"""Sandboxes: isolated, bounded, and without a network that nobody named."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml

from fleet.diagnostics.diagnostic import FleetError
from fleet.model.agents import Sandbox
from fleet.model.site import SiteSpec
from fleet.model.supply import Component
from fleet.render import tools
from fleet.render.sandboxes import sections
from fleet.render.tree import render_site
from tests.conformance.network_policies import Place, allowed
from tests.unit.test_unrendered import spec_of

Object = Mapping[str, Any]
IMAGE = "registry.factory.example/sandboxes/python:1.0@sha256:" + "1" * 64
CONTROLLER = "registry.k8s.io/agent-sandbox/agent-sandbox-controller:v0.5.6"
DIGEST = "sha256:" + "2" * 64


def site(**fields: Any) -> SiteSpec:
    """graz with a sandbox `python`, in which its tool runs code."""
    spec = spec_of("graz")
    made = Sandbox.model_validate(
        {"isolation": "gvisor", "image": IMAGE, "nodePool": "agents", "slots": 4, **fields}, strict=False
    )
    tool = spec.tools["work-orders"].model_copy(update={"sandbox": "python", "runs_code": "untrusted"})
    return spec.model_copy(update={"sandboxes": {"python": made}, "tools": {"work-orders": tool}})


def objects(spec: SiteSpec) -> Sequence[Object]:
    found = [*sections(spec), *tools.sections(spec)]
    return [o for s in found for text in s.files.values() for o in yaml.safe_load_all(text) if o]


def one(found: Sequence[Object], kind: str, name: str) -> Object:
    (item,) = [o for o in found if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return item


def test_by_default_there_is_nothing_of_it() -> None:
    assert list(sections(spec_of("graz"))) == []
    assert not [path for path in render_site(spec_of("graz")).files if "sandbox" in path]


@pytest.mark.parametrize("isolation", ["gvisor", "kata"])
def test_a_sandbox_is_isolated_bounded_and_without_identity(isolation: str) -> None:
    resources = {"cpuMillis": 100, "memoryMib": 128, "cpuLimitMillis": 500, "memoryLimitMib": 256}
    template = one(objects(site(isolation=isolation, resources=resources)), "SandboxTemplate", "python")
    assert template["apiVersion"] == "extensions.agents.x-k8s.io/v1beta1"
    assert template["spec"]["networkPolicyManagement"] == "Unmanaged"
    pod = template["spec"]["podTemplate"]["spec"]
    assert pod["runtimeClassName"] == isolation
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert container["image"].endswith(IMAGE.partition("/")[2])
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"},
    }  # fmt: skip
    assert {v["emptyDir"]["sizeLimit"] for v in pod["volumes"]} == {"256Mi"}


def test_a_plain_container_names_no_runtime() -> None:
    template = one(objects(site(isolation="container")), "SandboxTemplate", "python")
    assert "runtimeClassName" not in template["spec"]["podTemplate"]["spec"]


@pytest.mark.parametrize("warm", [0, 3])
def test_the_pool_that_claims_name_is_there_also_when_nothing_is_warm(warm: int) -> None:
    spec = site(warm=warm, timeoutSeconds=90)
    pool = one(objects(spec), "SandboxWarmPool", "python")["spec"]
    assert (pool["replicas"], pool["sandboxTemplateRef"]) == (warm, {"name": "python"})
    told = tools.proxy_config(spec, "work-orders")["sandbox"]
    assert told == {"namespace": "sandboxes", "warmPool": "python", "port": 8888, "timeoutSeconds": 90}


def test_slots_are_held_by_a_quota() -> None:
    quota = one(objects(site(slots=6)), "ResourceQuota", "slots")["spec"]["hard"]
    assert quota["pods"] == quota["count/sandboxclaims.extensions.agents.x-k8s.io"] == "6"
    assert (quota["requests.cpu"], quota["requests.memory"]) == ("1500m", "3Gi")
    assert (quota["limits.cpu"], quota["limits.memory"]) == ("12", "12Gi")


def test_only_its_tool_reaches_a_sandbox_and_it_reaches_what_is_named() -> None:
    spec = site(egress=[{"cidr": "10.30.7.7/32", "port": 3128}])
    policies = [o for o in objects(spec) if o["kind"] == "NetworkPolicy"]
    sandbox = Place("sandbox", "10.244.1.1", "sandboxes", {"app": "python", "fleet/role": "sandbox"})
    tool = Place("tool", "10.244.1.2", "tools", {"app": "work-orders", "fleet/role": "tool"})
    other = Place("other", "10.244.1.3", "tools", {"app": "other"})
    agent = Place("agent", "10.244.1.4", "agents", {"app": "maf-agent-api"})
    neighbour = Place("neighbour", "10.244.1.5", "sandboxes", {"app": "shell"})
    dns = Place("dns", "10.244.1.6", "kube-system", {"k8s-app": "kube-dns"})
    proxy, outside = Place("proxy", "10.30.7.7"), Place("outside", "203.0.113.7")
    assert allowed(policies, tool, sandbox, 8888)
    assert allowed(policies, sandbox, proxy, 3128)
    for source, target, port, protocol in (
        (tool, sandbox, 22, "TCP"), (other, sandbox, 8888, "TCP"), (agent, sandbox, 8888, "TCP"),
        (neighbour, sandbox, 8888, "TCP"), (sandbox, neighbour, 8888, "TCP"), (sandbox, tool, 8443, "TCP"),
        (sandbox, proxy, 443, "TCP"), (sandbox, outside, 443, "TCP"), (sandbox, dns, 53, "UDP"),
    ):  # fmt: skip
        assert not allowed(policies, source, target, port, protocol), (source.name, target.name)


def test_a_proxy_may_claim_sandboxes_and_no_more() -> None:
    found = objects(site())
    role = one(found, "Role", "claims-of-work-orders")
    assert role["metadata"]["namespace"] == "sandboxes"
    assert {r for rule in role["rules"] for r in rule["resources"]} == {"sandboxclaims", "sandboxes"}
    assert role["rules"][1]["verbs"] == ["get", "list", "watch"]
    (subject,) = one(found, "RoleBinding", "claims-of-work-orders")["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "work-orders", "namespace": "tools"}


def test_its_namespaces_are_restricted() -> None:
    levels = {
        o["metadata"]["name"]: o["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for o in objects(site())
        if o["kind"] == "Namespace"
    }
    assert levels == {"sandboxes": "restricted", "agent-sandbox-system": "restricted"}


def test_the_controller_comes_first_by_digest_from_the_sites_registry() -> None:
    pin = Component.model_validate({"digest": DIGEST, "images": {CONTROLLER: DIGEST}})
    spec = site().model_copy(update={"components": {"agent-sandbox": pin}})
    controller, sandboxes = sections(spec)
    assert controller.name in sandboxes.after
    source, release = yaml.safe_load_all(controller.files["agent-sandbox.yaml"])
    assert source["spec"]["ref"] == {"digest": DIGEST}
    values = release["spec"]["values"]
    assert values["controller"]["extensions"] is True
    assert values["image"] == {
        "repository": "registry.graz.factory.example/agent-sandbox/agent-sandbox-controller",
        "tag": f"v0.5.6@{DIGEST}",
    }


def test_without_the_controllers_digest_nothing_is_rendered() -> None:
    with pytest.raises(FleetError, match="agent-sandbox is switched on") as caught:
        list(sections(site().model_copy(update={"components": {}})))
    assert caught.value.code == "TPL003"


def test_two_sandboxes_share_the_quota_and_no_network() -> None:
    spec = site()
    spec = spec.model_copy(update={"sandboxes": {**spec.sandboxes, "shell": spec.sandboxes["python"]}})
    found = objects(spec)
    assert one(found, "ResourceQuota", "slots")["spec"]["hard"]["pods"] == "8"
    assert one(found, "NetworkPolicy", "shell-allow")["spec"]["ingress"] == []  # no tool names it
