"""What a program asks for one resource, read from the SDK's registration request."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pulumi.runtime.proto import alias_pb2, resource_pb2

from fleet.engine.local.checkpoint import make_urn
from fleet.engine.local.values import from_struct
from fleet.ports.engine import StackRef, UnsupportedByLocalEngine

_UNIT_S: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)")

STACK_REFERENCE: Final = "pulumi:pulumi:StackReference"
STACK_TYPE: Final = "pulumi:pulumi:Stack"
PLUGIN_VERSION: Final = "version"
PLUGIN_INTERNAL: Final = "__internal"

_UNSUPPORTED_TYPES: Final = {
    "pulumi:pulumi:Stash": "the Stash resource",
    "pulumi-python:dynamic": "dynamic providers",
    "pulumi-nodejs:dynamic": "dynamic providers",
}


@dataclass(frozen=True)
class Alias:
    """Another identity under which the state may have a resource. What is empty is as the resource's own.

    `parent` is None for the resource's own parent, and "" for none.
    """

    urn: str = ""
    name: str = ""
    type: str = ""
    parent: str | None = None
    project: str = ""
    stack: str = ""


@dataclass(frozen=True)
class Goal:
    """One resource as the program declares it. Timeouts are in seconds."""

    urn: str
    type: str
    name: str
    custom: bool
    inputs: dict[str, Any]
    parent: str = ""
    provider: str = ""
    version: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool | None = None
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    custom_timeouts: dict[str, float] = field(default_factory=dict)
    aliases: tuple[Alias, ...] = ()
    import_id: str = ""
    deleted_with: str = ""

    @property
    def is_provider(self) -> bool:
        """Whether this is a provider, explicit or default."""
        return self.type.startswith("pulumi:providers:")

    @property
    def references(self) -> set[str]:
        """The URNs that must have succeeded before this resource is attempted."""
        found = {*self.dependencies, self.parent, self.provider.rsplit("::", 1)[0], self.deleted_with}
        for urns in self.property_dependencies.values():
            found.update(urns)
        return found - {"", self.urn}


def goal_of(request: resource_pb2.RegisterResourceRequest, stack: StackRef) -> Goal:
    """Read a registration. Raises `UnsupportedByLocalEngine` naming the first thing not covered."""
    urn = make_urn(stack, request.parent, request.type, request.name)
    refuse_type(request.type, urn)
    for present, feature in (
        (request.remote, f"the remote component {request.type}"),
        (request.importId and request.type.startswith("pulumi:providers:"), "import of a provider"),
        (request.type == STACK_REFERENCE, "a stack reference that is registered and not read"),
        (request.transforms, "resource transforms"),
        (request.state_migrations, "state migrations"),
        (request.replace_with, "replace_with"),
        (request.HasField("replacement_trigger"), "replacement triggers"),
        (request.packageRef, "parameterized providers"),
        (request.envVarMappings, "env_var_mappings"),
        (request.HasField("hooks") and request.hooks.ByteSize(), "resource hooks"),
    ):
        if present:
            raise UnsupportedByLocalEngine(feature, urn)
    timeouts = request.customTimeouts
    inputs = from_struct(request.object)
    if request.type.startswith("pulumi:providers:"):
        inputs = with_plugin(inputs, request.version, request.pluginDownloadURL)
    return Goal(
        urn=urn,
        type=request.type,
        name=request.name,
        custom=request.custom,
        inputs=inputs,
        parent=request.parent,
        provider=request.provider,
        version=request.version,
        dependencies=tuple(sorted(request.dependencies)),
        property_dependencies={k: sorted(v.urns) for k, v in sorted(request.propertyDependencies.items())},
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        additional_secret_outputs=tuple(request.additionalSecretOutputs),
        custom_timeouts={
            operation: seconds(text)
            for operation in ("create", "update", "delete", "read")
            if (text := getattr(timeouts, operation))
        },
        aliases=tuple(_alias(alias) for alias in request.aliases),
        import_id=request.importId if request.custom else "",
        deleted_with=request.deletedWith,
    )


def with_plugin(configuration: dict[str, Any], version: str, download_url: str = "") -> dict[str, Any]:
    """A provider's inputs as Pulumi records them: its configuration, and which plugin it is, if that is said.

    A version always brings `__internal` along, which is empty but for a place to download from.
    Source: `SetProviderVersion` and `SetProviderURL` in pkg/resource/deploy/providers/registry.go of
    pulumi/pulumi.
    """
    plugin: dict[str, Any] = {PLUGIN_VERSION: version} if version else {}
    if version or download_url:
        plugin[PLUGIN_INTERNAL] = {"pluginDownloadURL": download_url} if download_url else {}
    return configuration | plugin


def configuration_of(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Of a provider's inputs what the provider itself gets to see, its version included, as in Pulumi."""
    return {key: value for key, value in inputs.items() if key != PLUGIN_INTERNAL}


def refuse_type(type_: str, urn: str) -> None:
    """Raise `UnsupportedByLocalEngine` for a type that only the CLI's engine can serve."""
    for prefix, feature in _UNSUPPORTED_TYPES.items():
        if type_.startswith(prefix):
            raise UnsupportedByLocalEngine(feature, urn)


def seconds(duration: str) -> float:
    """Read a Go duration (`1h30m`, `90s`) as seconds. Raises ValueError."""
    parts = _DURATION.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"{duration!r} is not a duration such as 30m or 1h30m")
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def _alias(alias: alias_pb2.Alias) -> Alias:
    if alias.urn:
        return Alias(urn=alias.urn)
    spec = alias.spec
    return Alias(
        name=spec.name,
        type=spec.type,
        parent="" if spec.noParent else spec.parentUrn or None,
        project=spec.project,
        stack=spec.stack,
    )
