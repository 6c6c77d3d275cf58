"""JSON Schema (2020-12) of `fleet.yaml` and of a site's file, made from the models, for editors.

Layers complete each other, so in a layer (a site's file, defaults, a profile, a ring's defaults) nothing is
required and `null` takes an inherited key away. Lists replace as a whole: what stands in one is complete.
A schema sees one file; what holds between files is left to `fleet validate`.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel

from fleet.model.descriptions import describe
from fleet.model.fleet import FleetFile, SiteHeader
from fleet.model.site import RESOLVED, SiteSpec

Schema = dict[str, Any]
Kind = Literal["fleet", "site"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LAYER = "Layer"
"""Suffix of a definition as it stands in a layer; without it, as it stands in a list: complete."""
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_ADDRESS = rf"{_BYTE}(\.{_BYTE}){{3}}"
_PATTERNS = {"ipv4": f"^{_ADDRESS}$", "ipv4network": f"^{_ADDRESS}/(3[0-2]|[12]?[0-9])$"}
_SITE = r"\$\{site\}"  # a name yet to be made of it is not looked at
_SHARED_LAYER = "Fields of a site; what they leave out may stand in another layer."


@cache
def schema(kind: Kind) -> Schema:
    """The schema of `fleet.yaml` or of a file in `sites/`; its keys are in the order of the model.

    Made once, for it takes a while: readers don't change it.
    """
    return _fleet_schema() if kind == "fleet" else _site_schema()


def schema_text(kind: Kind) -> str:
    """The schema as the bytes that `fleet schema` writes: the same for the same models."""
    return json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n"


def child(root: Schema, node: Schema, step: str | int) -> Schema | None:
    """The schema of what stands at `step` (a key, or an index of a list) of a value of `node`.

    None where the schema knows no such key. Definitions are looked up in `root`.
    """
    node = resolved(root, node)
    if isinstance(step, int):
        found = node.get("items")
    else:
        found = node.get("properties", {}).get(step)
        for pattern, part in node.get("patternProperties", {}).items() if found is None else ():
            found = part if re.search(pattern, step) else None
        found = found or node.get("additionalProperties") or None
    return resolved(root, found) if isinstance(found, dict) else None


def resolved(root: Schema, node: Schema) -> Schema:
    """`node` with its reference looked up in the definitions of `root`."""
    if "anyOf" in node:
        node = next((part for part in node["anyOf"] if part != {"type": "null"}), node)
    if "$ref" in node:
        return dict(root["$defs"][node["$ref"].removeprefix("#/$defs/")])
    return node


class _Definitions:
    """The models' definitions as pydantic writes them, and ours as they are asked for."""

    def __init__(self) -> None:
        self.given: dict[str, Schema] = {}
        self.made: dict[str, Schema] = {}

    def root(self, model: type[BaseModel], *, layer: bool) -> Schema:
        """The object schema of `model` itself."""
        describe(model)
        given = model.model_json_schema(by_alias=True, mode="validation")
        self.given |= given.get("$defs", {})
        return self.clean(given, layer=layer, root=True)

    def reference(self, pointer: str, *, layer: bool) -> str:
        name = pointer.removeprefix("#/$defs/")
        key = name + LAYER if layer else name
        if key not in self.made:
            self.made[key] = {}  # a model that holds itself finds its name taken
            self.made[key] = self.clean(self.given[name], layer=layer)
        return f"#/$defs/{key}"

    def clean(self, given: Mapping[str, Any], *, layer: bool, root: bool = False) -> Schema:
        """`given` without pydantic's noise; in a layer with nothing required and `null` allowed."""
        made: Schema = {}
        for key, value in given.items():
            match key:
                case "title" | "$defs":
                    continue
                case "default" if value is None:
                    continue
                case "required" if layer:
                    continue
                case "description":
                    made[key] = " ".join(value.split())
                case "pattern" if layer:
                    made[key] = f"({value})|{_SITE}"
                case "format" if value in _PATTERNS:
                    made["pattern"] = _PATTERNS[value]
                case "$ref":
                    made[key] = self.reference(value, layer=layer)
                case "properties" | "patternProperties":
                    made[key] = {name: self.clean(part, layer=layer) for name, part in value.items()}
                case "items":
                    made[key] = self.clean(value, layer=False)
                case "additionalProperties" if isinstance(value, dict):
                    made[key] = self.clean(value, layer=layer)
                case "minLength" | "maxLength" if given.get("type") == "object":
                    made[key.replace("Length", "Properties")] = value  # as pydantic counts entries
                case "anyOf":
                    parts = [part for part in value if part != {"type": "null"}]
                    if len(parts) == 1:  # `X | None`
                        made |= self.clean(parts[0], layer=layer)
                        if not layer:
                            made = _or_null(made)
                    else:
                        made[key] = [self.clean(part, layer=layer) for part in value]
                case _:
                    made[key] = value
        if "patternProperties" in made:
            made["additionalProperties"] = False  # a name that fits no pattern is an error
        return _or_null(made) if layer and not root else made


def _or_null(made: Schema) -> Schema:
    """`made`, or nothing. Said in the type where there is one: editors explain that best."""
    if "const" in made:
        return {
            "enum": [made["const"], None],
            **{k: v for k, v in made.items() if k not in ("const", "type")},
        }
    if "enum" in made:
        values = made["enum"] if None in made["enum"] else [*made["enum"], None]
        return {**{k: v for k, v in made.items() if k != "type"}, "enum": values}
    if isinstance(made.get("type"), str):
        return {**made, "type": [made["type"], "null"]}
    if "anyOf" in made and {"type": "null"} not in made["anyOf"]:
        return {**made, "anyOf": [*made["anyOf"], {"type": "null"}]}
    if "$ref" in made and not made["$ref"].endswith(LAYER):  # a layer's definition allows null itself
        rest = {key: value for key, value in made.items() if key != "$ref"}
        return {**rest, "anyOf": [{"$ref": made["$ref"]}, {"type": "null"}]}
    return made


def _layer(definitions: _Definitions) -> Schema:
    """The fields of a site as any layer may give them."""
    layer = definitions.root(SiteSpec, layer=True)
    own = {info.alias or name for name, info in SiteHeader.model_fields.items()} | RESOLVED
    layer["properties"] = {key: part for key, part in layer["properties"].items() if key not in own}
    return layer


def _document(definitions: _Definitions, title: str, body: Schema) -> Schema:
    defs = {name: definitions.made[name] for name in sorted(definitions.made)}
    return {"$schema": DIALECT, "title": title, **body, "$defs": defs}


def _site_schema() -> Schema:
    definitions = _Definitions()
    header = definitions.root(SiteHeader, layer=False)
    layer = _layer(definitions)
    layer["description"] = "One site: what differs from its defaults, profile and ring."
    layer["properties"] = {**header["properties"], **layer["properties"]}
    layer["required"] = header["required"]
    return _document(definitions, "A site of a fleet", layer)


def _fleet_schema() -> Schema:
    definitions = _Definitions()
    body = definitions.root(FleetFile, layer=False)
    definitions.made["Site" + LAYER] = {**_layer(definitions), "description": _SHARED_LAYER}
    reference = {"$ref": f"#/$defs/Site{LAYER}"}
    # The models hold layers as free mappings, which the loader checks one by one; here they are typed.
    places: tuple[Schema, ...] = (body["properties"], definitions.made["Ring"]["properties"])
    for place in places:
        place["defaults"] = {"description": place["defaults"]["description"], **reference}
    profiles = body["properties"]["profiles"]
    profiles["patternProperties"] = dict.fromkeys(profiles["patternProperties"], reference)
    return _document(definitions, "A fleet", body)
