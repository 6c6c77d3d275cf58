"""The Pulumi program under the local engine: what `fleet plan` does, offline."""

from pathlib import Path

import pytest
from stacks_recorder import CONTENT, factory_sites

from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.store import StateStore
from fleet.ports.engine import StackRef, StackResult, StackRun
from fleet.sandbox.azure_provider import AzureNativeProvider
from fleet_stacks.program import Phase, SiteProgram

SITES = factory_sites()


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
