"""Charts of others: by digest, from where the site can reach them."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from fleet import catalog
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.model.supply import Component
from fleet.render.releases import chart_url, component_image, release
from tests.factory import factory_inventory

DIGEST = "sha256:" + "1" * 64
IMAGE = "nvcr.io/nvidia/k8s-device-plugin:v0.20.0"


def site(name: str, **component: Any) -> SiteSpec:
    found = factory_inventory().site(name)
    assert found is not None
    pin = Component.model_validate({"digest": DIGEST, **component})
    return found.spec.model_copy(update={"components": {"gpu-operator": pin}})


def parsed(text: str) -> list[Mapping[str, Any]]:
    return list(yaml.safe_load_all(text))


def test_a_release_pins_its_chart_and_carries_its_values() -> None:
    values = {"driver": {"enabled": False}, "note": "a: b # c", "list": ["no", "1.0"]}
    source, helm = parsed(release(site("graz"), "gpu-operator", "gpu-operator", values, depends_on=("nfd",)))
    assert source["spec"]["ref"] == {"digest": DIGEST}
    assert helm["spec"]["values"] == values
    assert helm["spec"]["chartRef"] == {"kind": "OCIRepository", "name": source["metadata"]["name"]}
    assert helm["spec"]["dependsOn"] == [{"name": "nfd"}]


def test_a_chart_comes_from_the_sites_own_registry_where_it_has_one() -> None:
    graz = site("graz")
    assert graz.registry is not None
    assert chart_url(graz, "gpu-operator") == f"oci://{graz.registry.host}/charts/gpu-operator"
    assert chart_url(site("turin"), "gpu-operator") == "oci://registry.factory.example/charts/gpu-operator"


def test_a_component_without_a_digest_is_not_rendered() -> None:
    bare = site("graz").model_copy(update={"components": {}})
    with pytest.raises(FleetError, match="no digest of its chart") as caught:
        release(bare, "gpu-operator", "gpu-operator", {})
    assert caught.value.code == "TPL003"


def test_an_image_of_a_component_has_the_digest_of_the_inventory() -> None:
    pinned = site("turin", images={IMAGE: DIGEST})
    assert component_image(pinned, "gpu-operator", "nvcr.io/nvidia/k8s-device-plugin") == (
        "nvcr.io/nvidia/k8s-device-plugin", "v0.20.0", DIGEST,
    )  # fmt: skip
    assert component_image(site("turin"), "gpu-operator", "nvcr.io/nvidia/gpu-operator")[2] is None
    with pytest.raises(KeyError, match="no image"):
        component_image(pinned, "gpu-operator", "nvcr.io/nvidia/other")


@pytest.mark.parametrize("name", sorted(catalog.components()))
def test_every_row_of_the_catalogue_is_whole(name: str) -> None:
    row = catalog.components()[name]
    assert row.version
    assert row.source
    assert row.images, "what a mirror has to hold"
    assert all(":" in image.rpartition("/")[2] for image in row.images), "an image has a tag"
    assert row.chart is None or row.chart.startswith("oci://")


@pytest.mark.parametrize("image", ["UPPER/x:1", "host/x", "host/x@sha256:1", "x:1", "host/x:"])
def test_an_image_without_host_or_tag_is_refused(image: str) -> None:
    with pytest.raises(ValueError, match="String should match pattern"):
        Component.model_validate({"digest": DIGEST, "images": {image: DIGEST}})
