"""The Pulumi program under the local engine: plans without a line, and runs against an Azure in memory."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stacks_recorder import CONTENT, STORAGE_KEY, changed, everything, factory_sites

from fleet import catalog
from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.store import StateStore
from fleet.model.site import SiteSpec
from fleet.ports.engine import RunOptions, StackRef, StackResult, StackRun
from fleet.sandbox.azure_provider import AzureNativeProvider
from fleet_stacks.program import Phase, SiteProgram

SITES = factory_sites()
DEPLOYMENT = "Microsoft.AzureStackHCI/clusters/deploymentSettings"


def preview(site: str, phase: Phase, directory: Path) -> StackResult:
    """A plan without Azure, without secrets and without a state."""
    engine = LocalEngine(StateStore(directory), lambda package: AzureNativeProvider())
    program = SiteProgram(SITES[site], phase, CONTENT)
    return engine.preview(StackRun(StackRef("fleet", site), program))


@pytest.mark.parametrize("site", SITES)
def test_a_site_is_planned_without_a_line_or_a_secret(site: str, tmp_path: Path) -> None:
    result = preview(site, "deploy", tmp_path)
    assert result.error is None
    assert set(result.counts) == {"create", "read"}
    assert result.counts["read"] == 1 + len(SITES[site].azure_local.nodes)
    created = {change.name for change in result.changes if change.op == "create"}
    assert {"key-vault", "deployment", "provisioned-cluster"} <= created
    assert ("flux-configuration" in created) == (site != "narvik")
    assert str(result.outputs["clusterId"]).endswith(f"/clusters/{site}-hci")


def test_what_is_planned_does_not_depend_on_the_run(tmp_path: Path) -> None:
    first, second = preview("graz", "deploy", tmp_path), preview("graz", "deploy", tmp_path)
    assert {c.urn: c for c in first.changes} == {c.urn: c for c in second.changes}
    assert first.outputs == second.outputs


def test_a_plan_of_the_validation_has_nothing_after_it(tmp_path: Path) -> None:
    result = preview("graz", "validate", tmp_path)
    assert result.error is None
    assert not [
        c.name for c in result.changes if c.name.startswith(("extension-", "connected-", "node-pool-"))
    ]


class Azure:
    """Azure in memory (the provider's port `Arm`): what is put is there, and every write is kept."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Any]] = {}
        self.writes: list[tuple[str, str, dict[str, Any]]] = []

    def find(self, path: str, api_version: str) -> dict[str, Any] | None:
        if path.split("/")[-2] in ("machines", "resourceGroups"):  # made before the program runs
            identity = {"principalId": f"of-{path.rsplit('/', 1)[1]}", "type": "SystemAssigned"}
            return {"id": path, "identity": identity, "properties": {"provisioningState": "Succeeded"}}
        return self.resources.get(path)

    def put(
        self, path: str, api_version: str, body: dict[str, Any], *, timeout: float = 0.0
    ) -> dict[str, Any]:
        self.writes.append(("PUT", path, body))
        properties = {**body.get("properties", {}), "provisioningState": "Succeeded"}
        self.resources[path] = {**body, "id": path, "name": path.rsplit("/", 1)[1], "properties": properties}
        return self.resources[path]

    def post(self, path: str, api_version: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return {"keys": [{"keyName": "key1", "value": STORAGE_KEY, "permissions": "Full"}]}

    def delete(self, path: str, api_version: str, *, timeout: float = 0.0) -> None:
        self.writes.append(("DELETE", path, {}))
        self.resources.pop(path, None)

    def written(self, method: str, type_: str) -> list[dict[str, Any]]:
        """The bodies of the writes to one type since this was last asked for any."""
        found = [b for m, path, b in self.writes if m == method and path.split("/")[-2] == type_]
        self.writes.clear()
        return found


class Site:
    """One site with its state and its Azure."""

    def __init__(self, directory: Path) -> None:
        self.azure = Azure()
        self.engine = LocalEngine(
            StateStore(directory), lambda package: AzureNativeProvider(self.azure), lambda: "passphrase"
        )

    def run(self, spec: SiteSpec, phase: Phase, **secrets: str) -> StackRun:
        values = {"localAdmin": "admin:one", "lcmUser": "lcm:one"} | secrets
        program = SiteProgram(spec, phase, CONTENT)
        return StackRun(StackRef("fleet", spec.name), program, secret_config=values)

    def up(self, spec: SiteSpec, phase: Phase, **secrets: str) -> StackResult:
        result = self.engine.up(self.run(spec, phase, **secrets))
        assert result.error is None, result.error
        return result


def with_dns(spec: SiteSpec, address: str) -> SiteSpec:
    management = spec.model_dump(mode="json", by_alias=True)["azureLocal"]["management"]
    return changed(spec, azureLocal={"management": {**management, "dns": [address]}})


def test_a_wrong_password_is_put_right_until_the_deployment_and_not_after_it(tmp_path: Path) -> None:
    site, turin = Site(tmp_path), SITES["turin"]
    site.up(turin, "validate", localAdmin="admin:wrong")
    site.azure.writes.clear()
    site.up(turin, "validate", localAdmin="admin:right")
    (sent,) = site.azure.written("PUT", "secrets")
    assert base64.b64decode(sent["properties"]["value"]) == b"admin:right"
    site.up(turin, "deploy", localAdmin="admin:right")
    assert site.azure.written("PUT", "secrets") == []
    site.up(turin, "deploy", localAdmin="admin:rotated", lcmUser="lcm:rotated")
    assert site.azure.written("PUT", "secrets") == []


def test_a_deployment_is_sent_once_in_each_mode_however_the_inventory_changes(tmp_path: Path) -> None:
    site, turin = Site(tmp_path), SITES["turin"]
    modes = []
    for spec, phase in (
        (turin, "validate"),
        (with_dns(turin, "10.10.1.5"), "validate"),  # until then an edit is validated again
        (with_dns(turin, "10.10.1.5"), "deploy"),
        (with_dns(turin, "10.10.1.6"), "deploy"),
    ):
        result = site.up(spec, phase)
        sent = site.azure.written("PUT", "deploymentSettings")
        modes.append([body["properties"]["deploymentMode"] for body in sent])
    assert modes == [["Validate"], ["Validate"], ["Deploy"], []]
    (deployment,) = [change for change in result.changes if change.name == "deployment"]
    assert deployment.op == "same"
    assert any(path.startswith("properties.deploymentConfiguration") for path in deployment.ignored)


def test_another_api_version_does_not_repeat_a_deployment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, turin = Site(tmp_path), SITES["turin"]
    site.up(turin, "deploy")
    site.azure.writes.clear()
    monkeypatch.setitem(catalog.azure()["apiVersions"], DEPLOYMENT, "2026-12-31")
    site.up(turin, "deploy")
    assert site.azure.written("PUT", "deploymentSettings") == []


def test_another_pod_network_changes_no_cluster_and_is_shown(tmp_path: Path) -> None:
    site, turin = Site(tmp_path), SITES["turin"]
    site.up(turin, "deploy")
    site.azure.writes.clear()
    result = site.up(changed(turin, kubernetes={"podCidr": "10.245.0.0/16"}), "deploy")
    assert site.azure.writes == []
    (cluster,) = [change for change in result.changes if change.name == "provisioned-cluster"]
    assert "properties.networkProfile.podCidr" in cluster.ignored


def test_a_pool_that_sorts_first_is_added_and_leaves_the_cluster_alone(tmp_path: Path) -> None:
    site, turin = Site(tmp_path), SITES["turin"]
    site.up(turin, "deploy")
    site.azure.writes.clear()
    pools = turin.model_dump(mode="json", by_alias=True)["kubernetes"]["nodePools"]
    site.up(changed(turin, kubernetes={"nodePools": {**pools, "aaa": pools["agents"]}}), "deploy")
    assert [(method, path.rsplit("/", 2)[1:]) for method, path, _ in site.azure.writes] == [
        ("PUT", ["agentPools", "aaa"])
    ]


def test_everything_that_arc_installs_is_put_once_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    site, whole = Site(tmp_path), everything(SITES["graz"])
    site.up(whole, "deploy")
    put = [path for method, path, _ in site.azure.writes if method == "PUT"]
    assert len(put) == len(set(put))
    types = [path.split("/")[-2] for path in put]
    assert types.count("extensions") == 8
    assert {"loadBalancers", "diagnosticSettings", "dataCollectionRuleAssociations"} <= set(types)
    site.azure.writes.clear()
    result = site.up(whole, "deploy")
    assert site.azure.writes == []
    assert set(result.counts) <= {"same", "read"}


def test_a_role_that_leaves_the_inventory_is_taken_away_and_an_extension_too(tmp_path: Path) -> None:
    site, whole = Site(tmp_path), everything(SITES["graz"])
    site.up(whole, "deploy")
    site.azure.writes.clear()
    site.up(changed(whole, azure={"roleAssignments": []}, telemetry={"azureMonitor": False}), "deploy")
    deleted = [path.split("/")[-2] for method, path, _ in site.azure.writes if method == "DELETE"]
    assert sorted(deleted) == [
        *["dataCollectionRuleAssociations"] * 2,
        *["extensions"] * 2,
        *["roleAssignments"] * 2,
    ]


def test_destroying_a_site_leaves_its_cluster_what_it_works_with(tmp_path: Path) -> None:
    site, turin = Site(tmp_path), SITES["turin"]
    site.up(turin, "deploy")
    site.azure.writes.clear()
    run = replace(site.run(turin, "deploy"), options=RunOptions(unprotect=True))
    result = site.engine.destroy(run)
    assert result.error is None
    assert {path.split("/")[-2] for method, path, _ in site.azure.writes if method == "DELETE"} == {
        "agentPools",
        "extensions",
        "fluxConfigurations",
    }
    left = {path.split("/")[-2] for path in site.azure.resources}
    assert {"roleAssignments", "edgeDevices", "secrets", "vaults", "clusters"} <= left
