"""What the ARM stand-in answers, against Microsoft's own type definitions: no property that Azure lacks."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_arm_service import (
    ACCOUNT,
    CUSTOM_LOCATION,
    EXTENDED,
    FLUX,
    GROUP,
    MACHINE,
    ROLES,
    VAULT,
    Arm,
    flux,
    role,
)

from fleet.sandbox.arm.operations import behaviour_of

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
# Not in the definitions beside the checkout; everything else must be.
UNDEFINED = {"Microsoft.Resources/resourceGroups", "Microsoft.ResourceConnector/appliances"}


@pytest.fixture(scope="module")
def check() -> Callable[[str, dict[str, Any]], list[str]]:
    tool = SHARED / "tools" / "arm_check.py"
    if not tool.is_file() or not (SHARED / "contracts" / "arm").is_dir():
        pytest.skip("Microsoft's type definitions are not beside the checkout")
    spec = importlib.util.spec_from_file_location("arm_check", tool)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    versions: dict[str, str] = {}
    for entry in module._index():
        name, _, version = entry.partition("@")
        versions.setdefault(name, version)

    def findings(resource_type: str, body: dict[str, Any]) -> list[str]:
        found = module.check(f"{resource_type}@{versions[resource_type.lower()]}", body)
        # An answer has read-only properties; what a request lacked is the requester's.
        return [finding for finding in found if not finding.endswith((": read-only", ": missing"))]

    return findings


def test_answers_have_only_properties_that_microsoft_defines(
    check: Callable[[str, dict[str, Any]], list[str]],
) -> None:
    arm = Arm(exists=lambda url, digest: True).connected()
    arm.put(FLUX, flux())
    arm.put(VAULT, {"location": "eastus"})
    arm.put(ACCOUNT, {"location": "eastus"})
    arm.put(f"{ROLES}/11111111-0000-0000-0000-000000000000", role())
    arm.put(
        f"{MACHINE}/providers/Microsoft.AzureStackHCI/edgeDevices/default", {"kind": "HCI", "properties": {}}
    )
    versions = f"{CUSTOM_LOCATION}/providers/Microsoft.HybridContainerService/kubernetesVersions/default"
    arm.put(versions, {"extendedLocation": EXTENDED})
    arm.wait(3600)
    arm.put(f"{VAULT}/secrets/adm", {"properties": {"value": "x"}})
    arm.get(GROUP)
    problems: dict[str, list[str]] = {}
    seen = set()
    for record in arm.service.world.store.beneath("/subscriptions"):
        if record.type in UNDEFINED:
            continue
        shown = record.shown()
        behaviour_of(record.type).view(arm.service.world, shown)
        seen.add(record.type)
        if found := check(record.type, shown):
            problems[record.id] = found
    assert problems == {}
    assert len(seen) >= 17
