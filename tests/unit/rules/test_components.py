"""Rules about third parties' software. The example has a digest for each component, and runs the collector."""

import pytest
import yaml

from fleet import catalog
from fleet.render.components import USED
from tests.factory import FACTORY
from tests.unit.rules.cases import FLEET, GRAZ, NARVIK, Case, Cases, Edits, rule_tests

KUBECONFIG = ("kubernetes:\n", "kubernetes:\n  kubeconfig: {env: NARVIK_KUBECONFIG}\n")
VALKEY = "    valkey: {digest: sha256:863521bb3a939afda5c55f2accb21438f875bb2a608e13a9751d732f8c11e3ad}\n"
COLLECTOR = (
    "    otel-collector: {digest: sha256:4f913a24bfebbd2818104c1a8cb27e1c844c43ebb0006a8173852a9a5011c0bd}\n"
)

COPIES = "everyHours: 24, keepDays: 14"
RUNBOOK = ("certificate-renewal, capacity]", "certificate-renewal, capacity, restore]")
"""What a fleet with backups has, too (OPS004)."""


def services(text: str, *without: str) -> Edits:
    """Graz with services, in a fleet without some digests."""
    return {GRAZ: [("labels:", f"services: {{{text}}}\nlabels:")], FLEET: [(row, "") for row in without]}


CASES = {
    "CMP001": Cases(
        fires=[
            Case(services("redis: {storageGib: 20, replicas: 3}", VALKEY), "sites/graz.yaml:{redis:} this runs valkey, and 'components' does not say which",
                 help="add 'valkey: {digest: sha256:…}' under 'components:'"),
            # A site without Arc has its Flux from the program, once it has a kubeconfig.
            Case({FLEET: [("    flux2:\n", "    flux2-later:\n")], NARVIK: [KUBECONFIG]}, "sites/narvik.yaml:{kubeconfig} this runs flux2, and 'components' does not say which"),
            # once: all sites have it from one line
            Case({FLEET: [(COLLECTOR, "")]}, "fleet.yaml:{telemetry:} this runs otel-collector, and"),
        ],
        near=[
            services("redis: {storageGib: 20, replicas: 3}"),
            {FLEET: [(VALKEY, "")]},
            {NARVIK: [KUBECONFIG]},
            {FLEET: [("    flux2:\n", "    flux2-later:\n")]},
            {FLEET: [("    flux2:\n", "    flux2-later:\n")], GRAZ: [("kubernetes:\n", "kubernetes:\n  kubeconfig: {env: GRAZ_KUBECONFIG}\n")]},
            {FLEET: [(VALKEY, "")], GRAZ: [("", f"services: {{redis: {{storageGib: 20, replicas: 3}}}}\ncomponents:\n{VALKEY}")]},
        ],
    ),
    "CMP002": Cases(
        fires=[
            Case(services("bus: {kind: kafka, storageGib: 20, replicas: 3}"), "sites/graz.yaml:{kafka} kafka is not among the software that fleet installs", help="'kind: nats'"),
            Case(services("metrics: {storageGib: 20, retentionDays: 30, replicas: 2}"), "sites/graz.yaml:{metrics} metrics is run with one replica here, and 2 are asked for", help="'replicas: 1'"),
            Case({GRAZ: [("labels:", f"services: {{postgres: {{storageGib: 9, replicas: 2, backup: {{{COPIES}, target: 'smb://nas.factory.example/fleet'}}}}}}\nlabels:")], FLEET: [RUNBOOK]},
                 "sites/graz.yaml:{postgres:} copies of PostgreSQL are not made to shares over SMB", help="'target: nfs://…'"),
        ],
        near=[
            services("bus: {kind: nats, storageGib: 20, replicas: 3}"),
            services("metrics: {storageGib: 20, retentionDays: 30, replicas: 1}"),
            services("redis: {storageGib: 20, replicas: 3}"),
            services(f"postgres: {{storageGib: 9, replicas: 2, backup: {{{COPIES}, target: 'nfs://nas.factory.example/fleet'}}}}"),
        ],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)


@pytest.mark.parametrize("use", USED, ids=lambda use: use.component)
def test_every_component_is_in_the_catalogue_and_the_example_has_its_digest(use) -> None:
    assert use.component in catalog.components()
    assert use.component in yaml.safe_load((FACTORY / "fleet.yaml").read_text())["defaults"]["components"]
