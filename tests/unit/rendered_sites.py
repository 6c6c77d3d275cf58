"""A site of the example with something laid over its file, and the objects that a topic renders for it."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from fleet.inventory.layers import overlay
from fleet.model.site import SiteSpec
from fleet.render.section import Section
from tests.factory import factory_files, load

Object = Mapping[str, Any]
DIGEST = "sha256:" + "7" * 64


def site(name: str, over: str = "{}") -> SiteSpec:
    """The example's site with the YAML `over` laid over its file. No rule looks at it."""
    files = factory_files()
    path = f"sites/{name}.yaml"
    files[path] = yaml.safe_dump(overlay(yaml.safe_load(files[path]), yaml.safe_load(over)))
    inventory, diagnostics = load(files, rules=[])
    assert inventory is not None
    assert not diagnostics, diagnostics
    found = inventory.site(name)
    assert found is not None
    return found.spec


def objects(sections: Iterable[Section]) -> list[Object]:
    """Every object of some sections."""
    return [
        found for section in sections for text in section.files.values() for found in yaml.safe_load_all(text)
    ]


def one(found: Iterable[Object], kind: str, name: str) -> Any:
    """The object of that kind and name, of which there is one."""
    (only,) = (item for item in found if (item["kind"], item["metadata"]["name"]) == (kind, name))
    return only
