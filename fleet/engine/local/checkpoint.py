"""The state of a stack as Pulumi writes it: deployment JSON, version 3.

Field names and their omission when empty follow `sdk/go/common/apitype/core.go` (`DeploymentV3`,
`ResourceV3`, `OperationV2`). What a newer Pulumi wrote and this program does not know is kept as it is.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from fleet.engine.local.secrets import StackSecrets
from fleet.engine.local.values import SECRET_SIGNATURE, SIGNATURE_KEY, SealedSecret, mask
from fleet.ports.engine import StackRef, StackResource

DEPLOYMENT_VERSION: Final = 3

_STRINGS: Final = {
    "id": "id",
    "parent": "parent",
    "provider": "provider",
    "importID": "import_id",
    "deletedWith": "deleted_with",
}
_FLAGS: Final = {
    "delete": "delete",
    "protect": "protect",
    "external": "external",
    "pendingReplacement": "pending_replacement",
    "retainOnDelete": "retain_on_delete",
}
_LISTS: Final = {
    "dependencies": "dependencies",
    "initErrors": "init_errors",
    "additionalSecretOutputs": "additional_secret_outputs",
    "ignoreChanges": "ignore_changes",
    "replaceOnChanges": "replace_on_changes",
}
_OTHERS: Final = frozenset(
    {"urn", "custom", "type", "inputs", "outputs", "propertyDependencies", "customTimeouts", "created"}
    | {"modified"}
)


@dataclass
class ResourceState:
    """One resource of a stack. Mutable: owned by the `Snapshot` of one run and guarded by its lock.

    `inputs` and `outputs` hold values as in `fleet.engine.local.values`. `custom_timeouts` is in seconds.
    `import_id` is the id by which the program had it imported; the provider's own `id` may be another.
    """

    urn: str
    type: str
    custom: bool
    id: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    parent: str = ""
    provider: str = ""
    protect: bool = False
    external: bool = False
    delete: bool = False
    pending_replacement: bool = False
    retain_on_delete: bool = False
    deleted_with: str = ""
    import_id: str = ""
    dependencies: list[str] = field(default_factory=list)
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    init_errors: list[str] = field(default_factory=list)
    additional_secret_outputs: list[str] = field(default_factory=list)
    custom_timeouts: dict[str, float] = field(default_factory=dict)
    ignore_changes: list[str] = field(default_factory=list)
    replace_on_changes: list[str] = field(default_factory=list)
    created: str = ""
    modified: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rsplit("::", 1)[-1]

    @property
    def is_provider(self) -> bool:
        """Whether this is a provider, explicit or default."""
        return self.type.startswith("pulumi:providers:")

    @property
    def references(self) -> set[str]:
        """The URNs that must exist before this resource: dependencies, parent, provider, deletedWith."""
        found = {*self.dependencies, self.parent, self.provider.rsplit("::", 1)[0], self.deleted_with}
        for urns in self.property_dependencies.values():
            found.update(urns)
        return found - {"", self.urn}

    def to_json(self, secrets: StackSecrets) -> dict[str, Any]:
        """Write `ResourceV3`, secrets sealed. Raises `PassphraseError` if one cannot be."""
        document: dict[str, Any] = {"urn": self.urn, "custom": self.custom}
        for key, name in (_FLAGS | _STRINGS | _LISTS).items():
            if value := getattr(self, name):
                document[key] = value
        document["type"] = self.type
        for key, bag in (("inputs", self.inputs), ("outputs", self.outputs)):
            if bag:
                document[key] = _values_to_json(secrets.seal_all(bag))
        for key, value in (
            ("propertyDependencies", self.property_dependencies),
            ("customTimeouts", self.custom_timeouts),
            ("created", self.created),
            ("modified", self.modified),
        ):
            if value:
                document[key] = value
        return document | self.extra

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "ResourceState":
        """Read `ResourceV3`. Raises KeyError, TypeError or ValueError when it is not one."""
        known: dict[str, Any] = {
            name: document[key] for key, name in (_FLAGS | _STRINGS | _LISTS).items() if document.get(key)
        }
        inputs, outputs = document.get("inputs") or {}, document.get("outputs") or {}
        if not isinstance(inputs, dict) or not isinstance(outputs, dict):
            raise TypeError("inputs and outputs are objects")
        return cls(
            urn=str(document["urn"]),
            type=str(document["type"]),
            custom=bool(document.get("custom")),
            inputs=_values_from_json(inputs),
            outputs=_values_from_json(outputs),
            property_dependencies={
                k: v or [] for k, v in (document.get("propertyDependencies") or {}).items()
            },
            custom_timeouts=dict(document.get("customTimeouts") or {}),
            created=document.get("created") or "",
            modified=document.get("modified") or "",
            extra={
                k: v
                for k, v in document.items()
                if k not in _OTHERS and k not in _FLAGS and k not in _STRINGS and k not in _LISTS
            },
            **known,
        )


@dataclass
class PendingOperation:
    """An effect that was begun and whose end is not recorded: `kind` is Pulumi's word for it."""

    resource: ResourceState
    kind: str


@dataclass
class Deployment:
    """A whole state: resources in dependency order, and what was in flight when it was written."""

    resources: list[ResourceState] = field(default_factory=list)
    pending: list[PendingOperation] = field(default_factory=list)
    salt_state: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def to_json(self, secrets: StackSecrets, now: datetime) -> dict[str, Any]:
        """Write the document that `pulumi stack import` accepts."""
        resources = [resource.to_json(secrets) for resource in self.resources]
        pending = [{"resource": p.resource.to_json(secrets), "type": p.kind} for p in self.pending]
        engine = f"v{version('pulumi')}"
        deployment: dict[str, Any] = {
            "manifest": {
                "time": timestamp(now),
                # The CLI refuses a state whose magic is not the digest of its version.
                "magic": hashlib.sha256(engine.encode()).hexdigest(),
                "version": engine,
            },
            "resources": resources,
            "pending_operations": pending,
            "metadata": self.metadata,
        }
        if salt := secrets.salt_state or self.salt_state:
            deployment["secrets_providers"] = {"type": "passphrase", "state": {"salt": salt}}
        return {"version": DEPLOYMENT_VERSION, "deployment": deployment}

    @classmethod
    def from_json(cls, document: Any) -> "Deployment":
        """Read an exported state. Raises ValueError saying what is wrong with it."""
        if not isinstance(document, dict) or not isinstance(document.get("deployment"), dict):
            raise ValueError("it is not a Pulumi deployment")
        if document.get("version") != DEPLOYMENT_VERSION:
            raise ValueError(f"its version is {document.get('version')!r}, and only 3 is known")
        deployment = document["deployment"]
        provider = deployment.get("secrets_providers") or {}
        if provider.get("type") not in (None, "", "passphrase"):
            raise ValueError(f"its secrets are kept by {provider['type']!r}, and only passphrase is known")
        try:
            return cls(
                resources=[ResourceState.from_json(r) for r in deployment.get("resources") or []],
                pending=[
                    PendingOperation(ResourceState.from_json(p["resource"]), str(p["type"]))
                    for p in deployment.get("pending_operations") or []
                ],
                salt_state=(provider.get("state") or {}).get("salt"),
                metadata=deployment.get("metadata") or {},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"a resource in it is malformed ({error!r})") from error


def stack_resources(
    resources: Iterable[ResourceState], pending: Iterable[PendingOperation]
) -> tuple[StackResource, ...]:
    """What a state has, for looking at, sorted by URN: see `fleet.ports.engine.Engine.resources`.

    A resource that its successor is about to replace, or that was deleted to make way for one, is left out.
    A create that was cut short is in: what it asked for may exist.
    """
    unsettled = {operation.resource.urn: operation.resource for operation in pending}
    standing = {r.urn: r for r in resources if not r.delete and not r.pending_replacement}
    return tuple(
        StackResource(
            urn=urn,
            type=state.type,
            name=state.name,
            inputs=mask(state.inputs),
            pending=urn in unsettled,
            failed=bool(state.init_errors),
        )
        for urn, state in sorted((unsettled | standing).items())
    )


def timestamp(moment: datetime) -> str:
    """A time as Go's RFC 3339 writes it, in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def make_urn(stack: StackRef, parent: str, type_: str, name: str) -> str:
    """The URN of a resource. The stack itself is no part of its children's type chain."""
    chain = parent.split("::")[2] if parent else ""
    if chain and chain != "pulumi:pulumi:Stack":
        type_ = f"{chain}${type_}"
    return f"urn:pulumi:{stack.name}::{stack.project}::{type_}::{name}"


def _values_to_json(value: Any) -> Any:
    if isinstance(value, SealedSecret):
        return {SIGNATURE_KEY: SECRET_SIGNATURE, "ciphertext": value.ciphertext}
    if isinstance(value, Mapping):
        return {key: _values_to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_values_to_json(item) for item in value]
    # Anything but JSON here, e.g. a plain secret, is a bug that must not reach the disk.
    json.dumps(value)
    return value


def _values_from_json(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE_KEY) == SECRET_SIGNATURE:
            if "ciphertext" not in value:
                raise ValueError("it has a secret in plain text (exported with --show-secrets?)")
            return SealedSecret(str(value["ciphertext"]))
        return {key: _values_from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_values_from_json(item) for item in value]
    return value
