"""The policy pack: each policy fires and nearly fires; and the real pack, asked over gRPC as Pulumi asks."""

import copy
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc, plugin_pb2

from fleet import catalog
from fleet_stacks.policy_pack import azure_policies, kubernetes_policies, stack_policies
from fleet_stacks.policy_pack.declared import UNKNOWN, Declared
from fleet_stacks.policy_pack.policy import carried
from fleet_validators import RULES
from tests.factory import ROOT
from tests.unit.stacks_recorder import UNKNOWN as UNKNOWN_ON_THE_WIRE
from tests.unit.stacks_recorder import Registered, factory_sites, record

POLICIES = {p.name: p for p in (*azure_policies.POLICIES, *kubernetes_policies.POLICIES)}
STACK_POLICIES = {p.name: p for p in stack_policies.POLICIES}
ENFORCE = "pod-security.kubernetes.io/enforce"
DIGEST = "sha256:" + "a" * 64
IMAGE = f"registry.example:5000/app@{DIGEST}"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
TOKEN = "ghp_" + "a1B2" * 10
SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000001"


@cache
def registered(site: str) -> Mapping[str, Registered]:
    return {n: r for n, r in record(factory_sites()[site]).resources.items() if not r.read}


def of(name: str, site: str = "graz") -> Declared:
    found = registered(site)[name]
    return Declared(found.type, found.name, copy.deepcopy(found.inputs), found.protect)


def role_assignment() -> Declared:
    return next(
        of(r.name)
        for r in registered("graz").values()
        if r.type == "azure-native:authorization:RoleAssignment"
    )


def put(resource: Declared, path: str, value: Any) -> Declared:
    """The resource with one value changed; None takes it out."""
    inputs: Any = copy.deepcopy(dict(resource.inputs))
    *parents, last = (int(step) if step.isdecimal() else step for step in path.split("/"))
    at = inputs
    for step in parents:
        at = at.setdefault(step, {}) if isinstance(at, dict) else at[step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return replace(resource, inputs=inputs)


def pod(**changes: Any) -> Declared:
    container = {"name": "app", "image": IMAGE, "securityContext": {"allowPrivilegeEscalation": False}}
    spec = {"containers": [container]}
    inputs = {"metadata": {"name": "app", "namespace": "agents"}, "spec": {"template": {"spec": spec}}}
    resource = Declared("kubernetes:apps/v1:Deployment", "app", inputs)
    for path, value in changes.items():
        resource = put(resource, f"spec/template/spec/{path.replace('__', '/')}", value)
    return resource


def namespace(level: str | None) -> Declared:
    metadata = {"name": "agents", "labels": {ENFORCE: level} if level else {}}
    return Declared("kubernetes:core/v1:Namespace", "agents", {"metadata": metadata})


def release(**changes: Any) -> Declared:
    inputs = {
        "chart": "gpu-operator",
        "version": "v26.7.0",
        "repositoryOpts": {"repo": "https://helm.example"},
    }
    return Declared("kubernetes:helm.sh/v3:Release", "gpu-operator", {**inputs, **changes})


def oci_repository(**changes: Any) -> Declared:
    spec = {"url": "oci://registry.example/fleet", "ref": {"digest": DIGEST}, **changes}
    return Declared("kubernetes:source.toolkit.fluxcd.io/v1:OCIRepository", "fleet", {"spec": spec})


def git(url: str = "https://git.example/fleet", **reference: str) -> Declared:
    source = {"url": url, "repositoryRef": reference or {"commit": "a" * 40}}
    body = {"sourceKind": "GitRepository", "gitRepository": source}
    return put(of("flux-configuration"), "properties", body)


def vault_with(key: str, value: bool | None) -> Declared:
    return put(of("key-vault"), f"properties/{key}", value)


def container(access: str | None) -> Declared:
    inputs = {"publicAccess": access} if access else {}
    return Declared("azure-native:storage:BlobContainer", "logs", inputs)


def secret_in(type_: str, inputs: dict[str, Any]) -> Declared:
    return Declared(type_, "secret", inputs)


DATA = "properties/deploymentConfiguration/scaleUnits/0/deploymentData"
SECRET_LOCATION = f"{DATA}/secrets/0/secretLocation"
PROTECTED_SETTINGS = "properties/configurationProtectedSettings"


@dataclass(frozen=True)
class Cases:
    """Resources with what is said of each, and the closest ones of which nothing is said."""

    fires: list[tuple[Callable[[], Declared], str]]
    near: list[Callable[[], Declared]]


CASES = {
    "SEC001-literal-secret": Cases(
        [
            (lambda: put(of("cluster"), "tags/token", TOKEN), "tags.token holds a GitHub token"),
            (lambda: put(of("cluster"), "tags", {TOKEN: "x"}), "holds a GitHub token"),
            (lambda: put(of("key-vault"), "properties/value", TOKEN), "properties.value holds a GitHub token"),
            (lambda: secret_in("kubernetes:core/v1:ConfigMap", {"data": {"a": TOKEN}}), "data.a holds"),
            (lambda: secret_in("pulumi:providers:kubernetes", {"context": TOKEN}), "context holds"),
        ],
        [
            lambda: put(of("cluster"), "tags/token", "ghp_short"),
            lambda: secret_in("azure-native:keyvault:Secret", {"properties": {"value": TOKEN}}),
            lambda: secret_in("kubernetes:core/v1:Secret", {"stringData": {"a": TOKEN}}),
            lambda: secret_in("pulumi:providers:kubernetes", {"kubeconfig": TOKEN}),
            lambda: put(of("cluster"), "tags/token", UNKNOWN),
        ],
    ),
    "SEC005-privileged-role": Cases(
        [(lambda: with_role(OWNER), "the role Owner"), (lambda: with_role(OWNER.upper()), "the role Owner")],
        [lambda: with_role(catalog.azure()["roles"]["reader"]), lambda: with_role(UNKNOWN)],
    ),
    "AZL022-security-settings": Cases(
        [
            (
                lambda: put(of("deployment"), f"{DATA}/securitySettings/wdacEnforced", False),
                "the security setting wdacEnforced is not on",
            ),
            (lambda: put(of("deployment"), f"{DATA}/securitySettings/hvciProtection", None), "hvciProtection"),
            (lambda: put(of("deployment"), f"{DATA}/securitySettings", None), "hvciProtection"),
        ],
        [lambda: put(of("deployment"), f"{DATA}/securitySettings/smbClusterEncryption", False)],
    ),
    "role-known": Cases(
        [
            (lambda: with_role("0" * 8 + OWNER[8:]), "none of the catalogue's"),
            (lambda: put(role_assignment(), "roleDefinitionId", "Reader"), "not given by the id"),
        ],
        [lambda: with_role(catalog.azure()["roles"]["reader"].upper()), lambda: with_role(UNKNOWN)],
    ),
    "role-scope": Cases(
        [
            (lambda: put(role_assignment(), "scope", SUBSCRIPTION), "wider than a resource group"),
            (lambda: put(role_assignment(), "scope", "/providers/Microsoft.Management/managementGroups/a"), "wider"),
            (lambda: put(role_assignment(), "principalType", None), "principalType is not said"),
        ],
        [
            lambda: put(role_assignment(), "scope", f"{SUBSCRIPTION}/resourcegroups/rg"),
            lambda: put(role_assignment(), "scope", UNKNOWN),
        ],
    ),
    "key-vault-protected": Cases(
        [
            (partial(vault_with, key, value), f"{key} is not true")
            for key in ("enableRbacAuthorization", "enableSoftDelete", "enablePurgeProtection")
            for value in (False, None)
        ]
        + [(lambda: put(generic_vault(), "properties/enablePurgeProtection", None), "enablePurgeProtection")],
        [
            lambda: put(of("key-vault"), "properties/enablePurgeProtection", UNKNOWN),
            lambda: put(of("key-vault"), "properties", UNKNOWN),
            lambda: generic_vault(),
        ],
    ),
    "storage-account-private": Cases(
        [
            (lambda: put(of("witness"), "minimumTlsVersion", "TLS1_1"), "minimumTlsVersion"),
            (lambda: put(of("witness"), "minimumTlsVersion", None), "minimumTlsVersion"),
            (lambda: put(of("witness"), "enableHttpsTrafficOnly", False), "enableHttpsTrafficOnly"),
            (lambda: put(of("witness"), "allowBlobPublicAccess", None), "allowBlobPublicAccess"),
        ],
        [lambda: put(of("witness"), "minimumTlsVersion", "TLS1_3")],
    ),
    "blob-container-private": Cases(
        [(lambda: container("Blob"), "publicAccess is Blob"), (lambda: container("Container"), "publicAccess")],
        [lambda: container("None"), lambda: container(None)],
    ),
    "deployment-secrets-referenced": Cases(
        [
            (lambda: put(of("deployment"), f"{DATA}/secrets/0/value", "hunter2"), "has value beside"),
            (lambda: put(of("deployment"), SECRET_LOCATION, "http://kv.vault.azure.net/secrets/a"), "no address"),
            (lambda: put(of("deployment"), SECRET_LOCATION, "hunter2"), "no address"),
        ],
        [
            lambda: put(of("deployment"), SECRET_LOCATION, "https://kv.vault.autonomous.cloud.private/secrets/a-b"),
            lambda: put(of("deployment"), SECRET_LOCATION, UNKNOWN),
        ],
    ),
    "flux-source-pinned": Cases(
        [
            (lambda: flux("repositoryRef", {"tag": "latest"}), "not pinned by a digest"),
            (lambda: flux("repositoryRef/digest", "sha256:abc"), "not pinned by a digest"),
            (lambda: flux("url", "http://registry.example/fleet"), "not oci://"),
            (lambda: flux("insecure", True), "insecure"),
            (lambda: git(branch="main"), "no commit"),
            (lambda: git(url="http://git.example/fleet"), "neither https:// nor ssh://"),
            (lambda: put(of("flux-configuration"), "properties/sourceKind", "Bucket"), "the kind Bucket"),
        ],
        [
            lambda: flux("insecure", False),
            lambda: flux("repositoryRef", {"digest": DIGEST, "tag": "v1"}),
            lambda: flux("repositoryRef/digest", UNKNOWN),
            lambda: git(),
            lambda: git(url="ssh://git@git.example/fleet"),
        ],
    ),
    "flux-no-credential": Cases(
        [
            (lambda: put(git(), "properties/gitRepository/httpsKey", "hunter2"), "gitRepository.httpsKey is given"),
            (lambda: flux("tlsConfig", {"privateKey": "x"}), "tlsConfig.privateKey is given"),
            (lambda: put(of("flux-configuration"), PROTECTED_SETTINGS, {"a": "b"}), "configurationProtected"),
        ],
        [
            lambda: flux("localAuthRef", "reg-cred"),
            lambda: flux("tlsConfig", {"caCertificate": "x", "privateKey": ""}),
            lambda: flux("tlsConfig", UNKNOWN),
            lambda: put(of("flux-configuration"), "properties", UNKNOWN),
            lambda: put(of("flux-configuration"), PROTECTED_SETTINGS, {}),
        ],
    ),
    "extension-pinned": Cases(
        [
            (lambda: put(of("extension-flux"), "properties/version", None), "not pinned"),
            (lambda: put(of("extension-flux"), "properties/version", "1.x"), "not pinned"),
            (lambda: put(of("extension-flux"), "properties/autoUpgradeMinorVersion", True), "by itself"),
            (lambda: put(of("extension-flux"), "properties/autoUpgradeMinorVersion", None), "by itself"),
        ],
        [lambda: put(of("extension-flux"), "properties/version", "1.2.3-preview.1")],
    ),
    "cluster-access": Cases(
        [
            (lambda: put(of("connected-cluster"), "properties/aadProfile/enableAzureRBAC", False), "enableAzure"),
            (lambda: put(of("connected-cluster"), "properties/aadProfile/adminGroupObjectIDs", []), "no group"),
            (lambda: put(of("connected-cluster", "narvik"), "location", "northeurope"), "enableAzureRBAC"),
        ],
        [lambda: of("connected-cluster", "narvik")],
    ),
    "IMG001-image-pinned": Cases(
        [
            (lambda: pod(containers__0__image="registry.example/app:latest"), "containers[0]: the image"),
            (lambda: pod(containers__0__image=f"app@{DIGEST}"), "not named with its registry"),
            (lambda: pod(containers__0__image=None), "the image None"),
            (lambda: pod(initContainers=[{"image": "busybox"}]), "initContainers[0]"),
            (lambda: cron_job("busybox"), "the image 'busybox'"),
            (lambda: Declared("kubernetes:core/v1:Pod", "a", {"spec": {"containers": [{"image": "a"}]}}), "'a'"),
        ],
        [lambda: pod(), lambda: pod(containers__0__image=UNKNOWN), lambda: cron_job(IMAGE)],
    ),
    "pod-unprivileged": Cases(
        [
            (lambda: pod(hostNetwork=True), "hostNetwork is true"),
            (lambda: pod(hostPID=True), "hostPID is true"),
            (lambda: pod(hostIPC=True), "hostIPC is true"),
            (lambda: pod(volumes=[{"name": "root", "hostPath": {"path": "/"}}]), "the volume root"),
            (lambda: pod(containers__0__securityContext={"privileged": True}), "privileged is true"),
            (lambda: pod(containers__0__securityContext__allowPrivilegeEscalation=True), "allowPrivilege"),
            (lambda: pod(containers__0__securityContext__capabilities={"add": ["SYS_ADMIN"]}), "SYS_ADMIN"),
        ],
        [
            lambda: pod(hostNetwork=False),
            lambda: pod(volumes=[{"name": "tmp", "emptyDir": {}}]),
            lambda: pod(volumes=[UNKNOWN]),
            lambda: pod(containers__0__securityContext__capabilities={"add": [UNKNOWN]}),
            lambda: pod(containers__0__securityContext__capabilities={"add": ["NET_BIND_SERVICE"]}),
        ],
    ),
    "namespace-pod-security": Cases(
        [(lambda: namespace(None), "has no level"), (lambda: namespace("privileged"), "enforces the level privil")],
        [lambda: namespace("restricted"), lambda: namespace("baseline"), lambda: pod()],
    ),
    "helm-chart-pinned": Cases(
        [
            (lambda: release(version="^1.2.0"), "not pinned"),
            (lambda: release(version=None), "not pinned"),
            (lambda: release(repositoryOpts={"repo": "http://helm.example"}), "the repository is fetched"),
            (lambda: release(chart="http://helm.example/a.tgz"), "the chart is fetched without TLS"),
        ],
        [lambda: release(), lambda: release(version="1.2.3-rc.1"), lambda: release(chart="oci://r.example/a")],
    ),
    "flux-oci-repository-pinned": Cases(
        [
            (lambda: oci_repository(ref={"tag": "latest"}), "not pinned by a digest"),
            (lambda: oci_repository(insecure=True), "insecure"),
            (lambda: oci_repository(url="http://registry.example"), "not oci://"),
        ],
        [lambda: oci_repository(), lambda: oci_repository(ref=UNKNOWN)],
    ),
}  # fmt: skip


def with_role(role: Any) -> Declared:
    definition = f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{role}"
    return put(role_assignment(), "roleDefinitionId", UNKNOWN if role is UNKNOWN else definition)


def flux(path: str, value: Any) -> Declared:
    return put(of("flux-configuration"), f"properties/ociRepository/{path}", value)


def generic_vault() -> Declared:
    """The same vault as the generic resource."""
    inputs = {
        "resourceProviderNamespace": "Microsoft.KeyVault", "parentResourcePath": "", "resourceType": "vaults",
        "resourceName": "kv", "properties": of("key-vault").inputs["properties"],
    }  # fmt: skip
    return Declared("azure-native:resources:Resource", "vault", inputs, protect=True)


def cron_job(image: str) -> Declared:
    template = {"spec": {"containers": [{"image": image}]}}
    inputs = {"spec": {"jobTemplate": {"spec": {"template": template}}}}
    return Declared("kubernetes:batch/v1:CronJob", "job", inputs)


def test_every_policy_has_cases() -> None:
    assert list(CASES) == list(POLICIES)


@pytest.mark.parametrize("name", CASES)
def test_a_policy_fires(name: str) -> None:
    for make, said in CASES[name].fires:
        found = POLICIES[name].violations(make())
        assert any(said in violation for violation in found), (said, found)


@pytest.mark.parametrize("name", CASES)
def test_a_policy_nearly_fires(name: str) -> None:
    for make in CASES[name].near:
        assert POLICIES[name].violations(make()) == []


@pytest.mark.parametrize("site", ["graz", "turin", "narvik"])
def test_nothing_is_said_of_the_example_sites(site: str) -> None:
    resources = [of(name, site) for name in registered(site)]
    assert len(resources) > 10
    for resource in resources:
        for policy in POLICIES.values():
            assert policy.violations(resource) == [], policy.name
    for stack_policy in STACK_POLICIES.values():
        assert list(stack_policy.check(resources)) == []


def stack(site: str, **changed: Declared) -> list[Declared]:
    return [changed.get(name.replace("-", "_"), of(name, site)) for name in registered(site)]


@pytest.mark.parametrize("name", ["witness", "key-vault", "cluster", "deployment", "logical-network",
                                  "connected-cluster", "provisioned-cluster", "flux-configuration"])  # fmt: skip
def test_what_can_not_be_made_again_is_protected(name: str) -> None:
    bare = replace(of(name), protect=False)
    found = list(STACK_POLICIES["protected"].check(stack("graz", **{name.replace("-", "_"): bare})))
    assert found == [(bare, "it is not protected")]


def test_a_versioned_class_is_the_same_resource() -> None:
    versioned = replace(of("key-vault"), type="azure-native:keyvault/v20230701:Vault", protect=False)
    assert versioned.arm_type == "microsoft.keyvault/vaults"
    assert len(list(STACK_POLICIES["protected"].check([versioned]))) == 1


def test_a_disconnected_site_declares_nothing_of_azures() -> None:
    policy = STACK_POLICIES["disconnected-needs-no-azure"]
    added = [of("extension-flux"), of("flux-configuration")]
    assert [resource for resource, _ in policy.check([*stack("narvik"), *added])] == added
    assert list(policy.check([*stack("graz"), *added])) == []
    witness = STACK_POLICIES["ARC005-cloud-witness"]
    assert [resource.name for resource, _ in witness.check([*stack("narvik"), of("witness")])] == ["witness"]
    assert list(witness.check(stack("graz"))) == []


def test_a_role_is_given_once() -> None:
    policy, one = STACK_POLICIES["SEC006-role-twice"], role_assignment()
    again = replace(put(one, "roleAssignmentName", "another"), name="again")
    other = put(again, "scope", f"{one.inputs['scope']}/providers/Microsoft.KeyVault/vaults/kv")
    unknown = put(again, "principalId", UNKNOWN)
    assert list(policy.check([one, again])) == [(again, f"the same role is given by {one.name}")]
    assert list(policy.check([one, put(again, "scope", one.inputs["scope"].upper())])) != []
    assert list(policy.check([one, other])) == list(policy.check([one, unknown, unknown])) == []


def test_settings_widen_a_policy() -> None:
    unusual = "0" * 8 + OWNER[8:]
    assert POLICIES["role-known"].violations(with_role(unusual), {"allow": [unusual.upper()]}) == []
    for name, resource in (
        ("pod-unprivileged", pod(hostPID=True)),
        ("namespace-pod-security", namespace(None)),
    ):
        assert POLICIES[name].violations(resource, {"exceptNamespaces": ["agents"]}) == []
        assert POLICIES[name].violations(resource, {"exceptNamespaces": ["tools"]}) != []


def test_a_policy_that_carries_a_rule_has_its_words() -> None:
    rules = {rule.code: rule for rule in RULES}
    carrying = [p for p in (*POLICIES.values(), *STACK_POLICIES.values()) if p.name[:6] in rules]
    assert [p.name[:6] for p in carrying] == ["SEC001", "SEC005", "AZL022", "IMG001", "ARC005", "SEC006"]
    for policy in carrying:
        rule = rules[policy.name[:6]]
        assert (policy.summary, policy.source, policy.severity) == (rule.summary, rule.source, rule.severity)
    with pytest.raises(KeyError):
        carried("SEC999", "nothing", lambda resource, settings: (), "")


# --- the real pack, in a process of its own, asked as Pulumi's engine asks ---


@pytest.fixture(scope="module")
def analyzer() -> Iterator[analyzer_pb2_grpc.AnalyzerStub]:
    """The pack as `pulumi-analyzer-policy-python` starts it: engine's address, then the pack's folder."""
    folder = ROOT / "stacks" / "policy_pack"
    environment = {k: v for k, v in os.environ.items() if k != "COVERAGE_PROCESS_START"}
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:1", str(folder)],
        cwd=folder, stdout=subprocess.PIPE, env=environment,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield analyzer_pb2_grpc.AnalyzerStub(channel)
        finally:
            process.kill()


def request(resource: Declared, kind: Any = analyzer_pb2.AnalyzeRequest) -> Any:
    return json_format.ParseDict(
        {
            "type": resource.type, "name": resource.name, "properties": resource.inputs,
            "urn": f"urn:pulumi:graz::fleet::{resource.type}::{resource.name}",
            "options": {"protect": resource.protect},
        },
        kind(),
    )  # fmt: skip


def stack_request(resources: list[Declared]) -> Any:
    return analyzer_pb2.AnalyzeStackRequest(
        resources=[request(resource, analyzer_pb2.AnalyzerResource) for resource in resources]
    )


def test_the_pack_says_what_it_is(analyzer: analyzer_pb2_grpc.AnalyzerStub) -> None:
    info = analyzer.GetAnalyzerInfo(empty_pb2.Empty())
    assert info.name == "fleet"
    assert [policy.name for policy in info.policies] == [*POLICIES, *STACK_POLICIES]
    levels = {policy.name: policy.enforcementLevel for policy in info.policies}
    assert levels["SEC001-literal-secret"] == levels["key-vault-protected"] == analyzer_pb2.MANDATORY
    assert levels["AZL022-security-settings"] == levels["role-known"] == analyzer_pb2.ADVISORY
    described = {policy.name: policy for policy in info.policies}["IMG001-image-pinned"]
    assert described.description.startswith("every image is named with its registry and pinned by digest (")
    assert isinstance(analyzer.GetPluginInfo(empty_pb2.Empty()), plugin_pb2.PluginInfo)


@pytest.mark.parametrize("site", ["graz", "turin", "narvik"])
def test_the_pack_lets_the_example_sites_pass(analyzer: analyzer_pb2_grpc.AnalyzerStub, site: str) -> None:
    for name in registered(site):
        assert list(analyzer.Analyze(request(of(name, site))).diagnostics) == [], name
    assert list(analyzer.AnalyzeStack(stack_request(stack(site))).diagnostics) == []


@pytest.mark.parametrize("name", CASES)
def test_the_pack_reports_a_violation(analyzer: analyzer_pb2_grpc.AnalyzerStub, name: str) -> None:
    make, said = CASES[name].fires[0]
    found = [d for d in analyzer.Analyze(request(make())).diagnostics if d.policyName == name]
    assert len(found) == 1
    assert said in found[0].message
    assert POLICIES[name].help in found[0].message
    assert TOKEN not in found[0].message


def test_the_pack_reports_on_a_stack(analyzer: analyzer_pb2_grpc.AnalyzerStub) -> None:
    bare = replace(of("key-vault"), protect=False)
    found = list(analyzer.AnalyzeStack(stack_request(stack("graz", key_vault=bare))).diagnostics)
    assert [(d.policyName, d.enforcementLevel) for d in found] == [("protected", analyzer_pb2.MANDATORY)]
    assert found[0].urn.endswith("::key-vault")


def test_the_pack_waits_for_what_a_preview_can_not_know(analyzer: analyzer_pb2_grpc.AnalyzerStub) -> None:
    half = put(put(of("witness"), "minimumTlsVersion", UNKNOWN_ON_THE_WIRE), "allowBlobPublicAccess", True)
    found = list(analyzer.Analyze(request(half)).diagnostics)
    assert [d.policyName for d in found] == ["storage-account-private"]
    assert "allowBlobPublicAccess is not false" in found[0].message
    assert "minimumTlsVersion is neither" not in found[0].message


def test_levels_and_settings_are_configured(analyzer: analyzer_pb2_grpc.AnalyzerStub) -> None:
    def configure(**policies: Mapping[str, Any]) -> None:
        config = {"policyConfig": {name.replace("_", "-"): value for name, value in policies.items()}}
        analyzer.Configure(json_format.ParseDict(config, analyzer_pb2.ConfigureAnalyzerRequest()))

    weak, host = put(of("witness"), "allowBlobPublicAccess", True), pod(hostPID=True)
    try:
        configure(storage_account_private={"enforcementLevel": "DISABLED"})
        assert list(analyzer.Analyze(request(weak)).diagnostics) == []
        configure(storage_account_private={"enforcementLevel": "ADVISORY"})
        assert [d.enforcementLevel for d in analyzer.Analyze(request(weak)).diagnostics] == [
            analyzer_pb2.ADVISORY
        ]
        settings = {"exceptNamespaces": ["agents"]}
        configure(pod_unprivileged={"enforcementLevel": "MANDATORY", "properties": settings})
        assert list(analyzer.Analyze(request(host)).diagnostics) == []
    finally:
        configure()
    assert [d.policyName for d in analyzer.Analyze(request(host)).diagnostics] == ["pod-unprivileged"]


def test_the_page_lists_every_policy_with_its_level() -> None:
    page = (ROOT / "docs" / "policy-pack.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \| .+ \| (\w+) \|$", page, re.MULTILINE)
    level = {"error": "mandatory", "warning": "advisory"}
    policies = (*POLICIES.values(), *STACK_POLICIES.values())
    assert rows == [(policy.name, level[policy.severity]) for policy in policies]
