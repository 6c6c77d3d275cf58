"""The values that controllers' charts are given are values that those charts know, where a Go module holds the chart."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from fleet import catalog
from fleet.model.site import SiteSpec
from fleet.render import certificates, policies
from fleet.render.controllers import Controller
from tests.conformance.definitions import module_folder
from tests.factory import factory_inventory

CHARTS = {
    "cert-manager": ("github.com/cert-manager/cert-manager", "deploy/charts/cert-manager"),
    "trust-manager": ("github.com/cert-manager/trust-manager", "deploy/charts/trust-manager"),
    "kyverno": ("github.com/kyverno/kyverno", "charts/kyverno"),
    "gatekeeper": ("github.com/open-policy-agent/gatekeeper/v3", "charts/gatekeeper"),
}
"""Module and folder. Of Traefik, NGINX, Kong and Falco no module holds the chart."""
COMMENTED = {
    # Keys that the chart reads, and shows in a comment only (values.yaml of cert-manager and trust-manager).
    "cert-manager": {"image.tag", "webhook.image.tag", "cainjector.image.tag", "acmesolver.image.tag"},
    "trust-manager": {"image.tag"},
}


def narvik() -> SiteSpec:
    return next(site.spec for site in factory_inventory().sites if site.name == "narvik")


def with_admission(kind: str) -> SiteSpec:
    spec = narvik()
    chosen = spec.platform.policies.model_copy(update={"admission": kind})
    return spec.model_copy(update={"platform": spec.platform.model_copy(update={"policies": chosen})})


def controllers() -> dict[str, Controller]:
    found = list(certificates.controllers(narvik()))
    found += [c for kind in ("kyverno", "gatekeeper") for c in policies.controllers(with_admission(kind))]
    return {controller.component: controller for controller in found}


def unknown(given: Mapping[str, Any], known: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """Paths in `given` that `known` has not; what is empty there takes anything."""
    for key, value in given.items():
        if key not in known:
            yield f"{at}{key}"
        elif isinstance(value, Mapping) and isinstance(known[key], Mapping) and known[key]:
            yield from unknown(value, known[key], f"{at}{key}.")


def chart(component: str, file: str) -> Mapping[str, Any]:
    module, folder = CHARTS[component]
    found: Mapping[str, Any] = yaml.safe_load((module_folder(module) / folder / file).read_text())
    return found


@pytest.mark.parametrize("component", CHARTS)
def test_the_chart_knows_the_values(component: str) -> None:
    found = set(unknown(controllers()[component].values, chart(component, "values.yaml")))
    assert found == COMMENTED.get(component, set())


@pytest.mark.parametrize("component", ["kyverno", "gatekeeper"])
def test_it_is_the_version_of_the_catalogue(component: str) -> None:
    assert chart(component, "Chart.yaml")["version"] == catalog.components()[component].version
