"""Every body that a site's program sends, checked against Microsoft's own type definitions.

The definitions and the checker stand outside this repository (Azure/bicep-types-az, MIT); where they are
absent these tests are skipped.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CHECKER = ROOT.parent / "shared" / "tools" / "arm_check.py"

sys.path.insert(0, str(ROOT / "tests" / "unit"))
from stacks_recorder import (  # noqa: E402
    SECRET_SIGNATURE,
    Registered,
    changed,
    factory_sites,
    patterns,
    record,
)

SITES = factory_sites()

# Typed classes: the definition their body is checked against, the inputs that are part of the path, and
# whether the remaining inputs belong under `properties`. Names in azure-native differ where `renamed` says.
# Key Vault: azure-native 3.29 sends 2024-11-01 and the definitions at hand are 2023-07-01. What we send is
# in both; a property that only the newer one has would be a finding here, and rightly looked at.
TYPED: dict[str, tuple[str, set[str], bool]] = {
    "azure-native:keyvault:Vault": ("Microsoft.KeyVault/vaults@2023-07-01", {"vaultName"}, False),
    "azure-native:keyvault:Secret": (
        "Microsoft.KeyVault/vaults/secrets@2023-07-01",
        {"vaultName", "secretName"},
        False,
    ),
    "azure-native:storage:StorageAccount": (
        "Microsoft.Storage/storageAccounts@2024-01-01",
        {"accountName"},
        True,
    ),
    "azure-native:authorization:RoleAssignment": (
        "Microsoft.Authorization/roleAssignments@2022-04-01",
        {"scope", "roleAssignmentName"},
        True,
    ),
}
# No definitions of these are at hand: what may be in their properties, from azure-native 3.29's own classes
# (monitor.DiagnosticSetting, monitor.DataCollectionRuleAssociation).
UNDEFINED = {
    "Microsoft.Insights/diagnosticSettings@2021-05-01-preview": {"workspaceId", "logs"},
    "Microsoft.Insights/dataCollectionRuleAssociations@2022-06-01": {"dataCollectionRuleId"},
}
RENAMED = {"enableHttpsTrafficOnly": "supportsHttpsTrafficOnly"}
ENVELOPE = {"location", "tags", "sku", "kind", "identity", "extendedLocation", "properties"}
GENERIC = "azure-native:resources:Resource"
GENERIC_PATH = {
    "apiVersion",
    "resourceGroupName",
    "resourceProviderNamespace",
    "parentResourcePath",
    "resourceType",
    "resourceName",
}


@pytest.fixture(scope="session")
def arm_check() -> ModuleType:
    if not CHECKER.exists():
        pytest.skip("Microsoft's type definitions are not beside this checkout (../shared)")
    spec = importlib.util.spec_from_file_location("arm_check", CHECKER)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def request_of(resource: Registered) -> tuple[str, dict[str, Any]]:
    """`type@version` and the body that the provider sends for a registered resource."""
    inputs = opened(resource.inputs)
    if resource.type == GENERIC:
        path = [*inputs["parentResourcePath"].split("/"), inputs["resourceType"], inputs["resourceName"]]
        path = [inputs["resourceProviderNamespace"], *(part for part in path if part)]
        while "providers" in path:  # an extension's type begins after the resource that it extends
            path = path[path.index("providers") + 1 :]
        full_type = "/".join((path[0], *path[1::2]))
        return f"{full_type}@{inputs['apiVersion']}", {
            k: v for k, v in inputs.items() if k not in GENERIC_PATH
        }
    definition, in_path, flattened = TYPED[resource.type]
    body = {key: value for key, value in inputs.items() if key not in {"resourceGroupName", *in_path}}
    if flattened:
        properties = {RENAMED.get(k, k): v for k, v in body.items() if k not in ENVELOPE}
        body = {k: v for k, v in body.items() if k in ENVELOPE} | {"properties": properties}
    return definition, body


def opened(value: Any) -> Any:
    """The value with Pulumi's secret wrappers taken off."""
    if isinstance(value, dict):
        if SECRET_SIGNATURE in value:
            return opened(value["value"])
        return {key: opened(item) for key, item in value.items()}
    return [opened(item) for item in value] if isinstance(value, list) else value


def variants() -> dict[str, Any]:
    """The example sites, and ones with what no example uses."""
    turin = SITES["turin"]
    gateway = "/subscriptions/s/resourceGroups/g/providers/Microsoft.HybridCompute/gateways/gw"
    return {
        **SITES,
        **patterns(),
        "gateway": changed(turin, connectivity={"arcGatewayId": gateway}),
        "rack-aware": changed(
            SITES["graz"],
            azureLocal={
                "pattern": "rack-aware",
                "nodes": [
                    {"name": "graz-n1", "ip": "10.30.1.11", "zone": "west"},
                    {"name": "graz-n2", "ip": "10.30.1.12", "zone": "east"},
                ],
            },
            azure={"tags": {"cost": "42"}},
        ),
        "pools": changed(
            turin,
            kubernetes={
                "nodePools": {
                    "agents": {
                        "vmSize": "Standard_D4s_v3",
                        "count": 1,
                        "labels": {"tier": "web"},
                        "taints": [{"key": "reserved"}],
                        "autoscale": {"minCount": 1, "maxCount": 3},
                    },
                    "windows": {"vmSize": "Standard_D8s_v3", "count": 1, "os": "windows"},
                }
            },
        ),
    }


@pytest.mark.parametrize("phase", ["validate", "deploy"])
@pytest.mark.parametrize("site", variants())
def test_every_body_is_what_azure_describes(arm_check: ModuleType, site: str, phase: Any) -> None:
    recording = record(variants()[site], phase)
    sent = [r for r in recording.resources.values() if not r.read and not r.type.startswith("pulumi:")]
    findings = []
    for resource in sent:
        definition, body = request_of(resource)
        if definition in UNDEFINED:
            assert set(body) == {"properties"} and set(body["properties"]) <= UNDEFINED[definition]
            continue
        findings += [f"{resource.name} ({definition}): {f}" for f in arm_check.check(definition, body)]
    assert len(sent) > 10
    assert not findings, "\n".join(findings)


def test_a_wrong_body_is_a_finding(arm_check: ModuleType) -> None:
    """The check above can fail: an unknown property, a wrong type, a missing and a read-only one."""
    resources = record(SITES["turin"]).resources
    definition, body = request_of(resources["provisioned-cluster"])
    assert arm_check.check(definition, body) == []
    properties = body["properties"]
    for wrong in (
        {"kuberneteVersion": "1.30.4"},
        {"controlPlane": {**properties["controlPlane"], "count": "1"}},
        {"provisioningState": "Succeeded"},
    ):
        assert arm_check.check(definition, {**body, "properties": {**properties, **wrong}})
    definition, body = request_of(resources["connected-cluster"])
    del body["identity"]
    assert arm_check.check(definition, body) == ["identity: missing"]
