"""A whole site with everything that Arc installs, through the local engine, against the ARM sandbox over TLS."""

import sys
from functools import partial
from pathlib import Path

import pytest

from fleet.adapters.arm_client import ArmClient
from fleet.adapters.arm_errors import ArmError
from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.store import StateStore
from fleet.ports.engine import StackRef, StackRun
from fleet.sandbox.arm import ArmSandbox
from fleet.sandbox.arm.limits import Strictness
from fleet.sandbox.providers import SandboxProviders
from fleet_stacks.deployment_settings import Phase
from fleet_stacks.program import SiteProgram
from fleet_stacks.resource_providers import resource_providers

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from stacks_recorder import CONTENT, everything, factory_sites, patterns

SITES = {"everything": everything(factory_sites()["graz"])} | {
    name: spec
    for name, spec in patterns().items()
    if name in ("three-nodes-switchless", "management-cluster")
}
NOT_IN_THE_STAND_IN = {
    "Microsoft.GuestConfiguration",
    "Microsoft.HybridConnectivity",
    "Microsoft.PolicyInsights",
}
"""Namespaces of which no resource is declared, so that the stand-in may not know them."""


@pytest.mark.parametrize("name", SITES)
def test_a_site_is_validated_deployed_and_left_alone(name: str, tmp_path: Path) -> None:
    spec = SITES[name]
    subscription = spec.azure.subscription
    program = partial(SiteProgram, spec, content=CONTENT)
    accounts = {"localAdmin": "admin:one", "lcmUser": "lcm:one"}

    def run(phase: Phase) -> StackRun:
        return StackRun(StackRef("fleet", spec.name), program(phase), secret_config=accounts)

    strict = Strictness(registration=True)
    with ArmSandbox(
        tmp_path / "arm", subscriptions=[subscription], clock_factor=0, strictness=strict
    ) as sandbox:
        for node in spec.azure_local.nodes:
            sandbox.seed_machine(
                subscription, spec.azure.resource_group, node.name, location=spec.azure.region
            )
        client = ArmClient(sandbox.endpoint, lambda: sandbox.token, sandbox.ca_file)
        with SandboxProviders(lambda: client, subscription) as providers:
            engine = LocalEngine(StateStore(tmp_path / "state"), providers, partial(str, "a passphrase"))
            refused = engine.up(run("validate"))
            assert {failure.code for failure in refused.failures} == {"MissingSubscriptionRegistration"}
            for namespace in resource_providers(spec):  # the explicit step, as `az provider register` does it
                try:
                    client.post(f"/subscriptions/{subscription}/providers/{namespace}/register", "2021-04-01")
                except ArmError as error:
                    assert error.code == "InvalidResourceNamespace" and namespace in NOT_IN_THE_STAND_IN, (
                        error
                    )
            phases: tuple[Phase, ...] = ("validate", "deploy")
            for phase in phases:
                result = engine.up(run(phase))
                assert result.failures == (), result.failures
                assert result.error is None
            asked = len(sandbox.exchanges)
            again = engine.up(run("deploy"))
            assert set(again.counts) == {"same", "read"}, again.changes
            changing = [e for e in sandbox.exchanges[asked:] if e.method in ("PUT", "DELETE", "PATCH")]
            assert changing == []
            assert engine.refresh(run("deploy")).error is None
            assert set(engine.up(run("deploy")).counts) == {"same", "read"}, (
                "what Azure fills in is no change"
            )
