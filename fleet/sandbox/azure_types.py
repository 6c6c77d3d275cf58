"""Between the shape of azure-native's SDK and ARM's: ids, bodies and outputs, from azure_types.yaml."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote

import yaml

from fleet.engine.local.values import UNKNOWN_VALUE

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_WITH_SLASHES: Final = frozenset({"scope", "parentResourcePath"})


@dataclass(frozen=True)
class AzureType:
    """One resource type of azure-native. See azure_types.yaml for the meaning of each field."""

    token: str
    path: str
    flatten: bool
    api_version: str
    api_version_input: str
    body: Mapping[str, str]
    replace: tuple[str, ...]
    computed: tuple[str, ...]
    write_only: tuple[str, ...]
    read_only: str
    located: bool
    envelope: frozenset[str]
    outputs_only: frozenset[str]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The inputs that make up the id, without the subscription, which the provider has."""
        return tuple(p for p in _PARAMETER.findall(self.path) if p != "subscriptionId")

    @property
    def replaces(self) -> frozenset[str]:
        """The inputs whose change forces a replacement. ARM moves nothing to another location."""
        return frozenset({*self.parameters, *self.replace, "location"})

    def version_for(self, values: Mapping[str, Any]) -> str:
        """The api-version for a resource with these inputs (or outputs, which repeat it)."""
        if not self.api_version_input:
            return self.api_version
        return str(values.get(self.api_version_input) or values.get("azureApiVersion") or "")

    def resource_id(self, inputs: Mapping[str, Any], subscription: str | None) -> str | None:
        """The ARM id, or None while an input that it is made of, or the subscription, is not known."""
        parts: dict[str, str] = {}
        for name in _PARAMETER.findall(self.path):
            value = subscription if name == "subscriptionId" else inputs.get(name)
            if not isinstance(value, str):
                return None
            parts[name] = quote(value.strip("/"), safe="/" if name in _WITH_SLASHES else "")
        path = _PARAMETER.sub(lambda match: parts[match[1]], self.path)
        # A top-level resource has an empty parent path, and still one slash.
        return re.sub("/{2,}", "/", path)

    def to_body(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The request body for (plain) inputs."""
        body: dict[str, Any] = {}
        for key, value in inputs.items():
            if key not in self.parameters and key != self.api_version_input:
                _put(body, self._place(key), _identities_as_map(value))
        return body

    def to_outputs(self, response: Mapping[str, Any], api_version: str) -> dict[str, Any]:
        """The outputs for a response, without the id and what ARM should never have given back."""
        outputs = {k: v for k, v in response.items() if k not in ("id", "properties") and v is not None}
        properties = dict(response.get("properties") or {})
        if self.flatten:
            outputs = properties | outputs
        elif properties:
            outputs["properties"] = properties
        for key, place in self.body.items():
            if (value := _get(response, place)) is not None:
                outputs[key] = value
                last = place.rsplit(".", 1)[-1]
                if last != key and place.startswith("properties."):
                    outputs.pop(last, None)
        for path in self.write_only:
            _drop(outputs, path)
        outputs["azureApiVersion"] = api_version
        return outputs

    def preview_outputs(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
        """What can be known before the effect: the inputs, and what never changes of an old resource.

        azure-native keeps `name` and `location` of an old resource and leaves the rest unknown
        (provider.go, Update with preview); a property that is absent here is unknown to the SDK.
        """
        outputs = {k: v for k, v in inputs.items() if k != self.api_version_input}
        # Given as a list and answered as a map with what Azure adds to each: unknown until then.
        outputs.pop("userAssignedIdentities", None)
        identity = outputs.get("identity")
        if isinstance(identity, dict) and "userAssignedIdentities" in identity:
            outputs["identity"] = identity | {"userAssignedIdentities": UNKNOWN_VALUE}
        outputs |= {k: old[k] for k in ("name", "location") if k in old}
        for path in self.computed:
            parent = path.rsplit(".", 1)[0]
            if parent == "properties" and not self.flatten:
                outputs.setdefault("properties", {})
            outputs = _with(outputs, path.split("."), UNKNOWN_VALUE)
        for path in self.write_only:
            outputs = _without(outputs, path.split("."))
        return outputs

    def id_parameters(self, resource_id: str) -> dict[str, str]:
        """The inputs that an id is made of, for a resource that is only read."""
        pattern = _PARAMETER.sub(
            lambda m: f"(?P<{m[1]}>.+?)" if m[1] in _WITH_SLASHES else f"(?P<{m[1]}>[^/]+)", self.path
        )
        match = re.fullmatch(pattern, resource_id, re.IGNORECASE)
        return {k: v for k, v in match.groupdict().items() if k != "subscriptionId"} if match else {}

    def _place(self, key: str) -> str:
        if key in self.body:
            return self.body[key]
        if not self.flatten or key in self.envelope or key in self.outputs_only:
            return key
        return f"properties.{key}"


@dataclass(frozen=True)
class AzureFunction:
    """A function of azure-native: a POST on a resource. `secrets` are keys to hide in its answer."""

    token: str
    of: AzureType
    action: str
    secrets: frozenset[str]


@functools.cache
def _document() -> dict[str, Any]:
    text = files("fleet.sandbox").joinpath("azure_types.yaml").read_text("utf-8")
    return dict(yaml.safe_load(text))


@functools.cache
def azure_types() -> Mapping[str, AzureType]:
    """Every known resource type, by its token."""
    document = _document()
    return {
        token: AzureType(
            token=token,
            path=entry["path"],
            flatten=entry["flatten"],
            api_version=entry.get("apiVersion", ""),
            api_version_input=entry.get("apiVersionInput", ""),
            body=entry.get("body", {}),
            replace=tuple(entry.get("replace", ())),
            computed=tuple(entry.get("computed", ())),
            write_only=tuple(entry.get("writeOnly", ())),
            read_only=entry.get("readOnly", ""),
            located=entry.get("located", False),
            envelope=frozenset(document["envelope"]),
            outputs_only=frozenset(document["outputsOnly"]),
        )
        for token, entry in document["types"].items()
    }


@functools.cache
def azure_functions() -> Mapping[str, AzureFunction]:
    """Every known function, by its token."""
    return {
        token: AzureFunction(
            token, azure_types()[entry["of"]], entry["action"], frozenset(entry.get("secrets", ()))
        )
        for token, entry in _document()["functions"].items()
    }


def is_singleton(resource_id: str) -> bool:
    """Whether ARM has this resource before anybody creates it, so that finding it is no conflict."""
    last = resource_id.lower().rsplit("/providers/", 1)[-1].split("/")
    type_ = "/".join([last[0], *last[1::2]])
    return type_ in _document()["singletons"]


def _identities_as_map(value: Any) -> Any:
    """ARM wants user-assigned identities as a map from id to nothing; the SDK takes a list."""
    if isinstance(value, dict) and isinstance(value.get("userAssignedIdentities"), list):
        return value | {"userAssignedIdentities": {id_: {} for id_ in value["userAssignedIdentities"]}}
    return value


def _put(body: dict[str, Any], place: str, value: Any) -> None:
    *parents, last = place.split(".")
    for parent in parents:
        body = body.setdefault(parent, {})
    body[last] = {id_: {} for id_ in value} if last == "userAssignedIdentities" else value


def _get(body: Any, place: str) -> Any:
    for step in place.split("."):
        body = body.get(step) if isinstance(body, Mapping) else None
    return body


def _drop(values: dict[str, Any], place: str) -> None:
    *parents, last = place.split(".")
    for parent in parents:
        inner = values.get(parent)
        if not isinstance(inner, dict):
            return
        values[parent] = values = dict(inner)
    values.pop(last, None)


def _with(values: dict[str, Any], path: list[str], leaf: Any) -> dict[str, Any]:
    """Copy with `leaf` at a path whose parent exists and is an object, unless something is there."""
    step, *rest = path
    if not rest:
        return values if step in values else {**values, step: leaf}
    inner = values.get(step)
    return {**values, step: _with(inner, rest, leaf)} if isinstance(inner, dict) else values


def _without(values: dict[str, Any], path: list[str]) -> dict[str, Any]:
    step, *rest = path
    if not rest:
        return {k: v for k, v in values.items() if k != step}
    inner = values.get(step)
    return {**values, step: _without(inner, rest)} if isinstance(inner, dict) else values
