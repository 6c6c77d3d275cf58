"""An azure-native provider that only looks: what a program would create, it finds in Azure.

The local engine runs a site's whole program against it, and what it writes is the state that a site would
have had if fleet had made it. No PUT and no DELETE leaves this module. Why not Pulumi's own `import` option:
for it a provider reads a resource by its id alone, and azure-native then asks for the generic resource at an
API version of its own, 2024-03-01, which no type that needs the generic resource has (pulumi-azure-native,
provider.go, `Read`; issue 4109). Most of a site's resources are of that kind (stacks/arm.py).
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2 as pb

from fleet.adapters.arm_errors import ArmError
from fleet.engine.local.values import (
    SealedSecret,
    Secret,
    annotate_secrets,
    from_struct,
    reveal,
    to_struct,
    without_unknowns,
)
from fleet.plan.adoption import as_azure_has, secret_paths
from fleet.sandbox.azure_provider import AzureNativeProvider
from fleet.sandbox.azure_types import AzureType, azure_types

ROLE_ASSIGNMENT = "azure-native:authorization:RoleAssignment"
_ROLES = "Microsoft.Authorization/roleAssignments"
_KEYS = "azure-native:storage:listStorageAccountKeys"
_NO_KEY = "not-asked-for"


class LooksAtAzure(Protocol):
    """What adopting needs of an ARM client. Every method raises `fleet.adapters.arm_errors.ArmError`."""

    def find(self, path: str, api_version: str) -> dict[str, Any] | None:
        """Read a resource, or None if Azure says that it does not exist."""
        ...

    def list(self, path: str, api_version: str) -> Iterable[dict[str, Any]]:
        """The items of a collection, over all its pages."""
        ...

    def post(self, path: str, api_version: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run an action; here `listKeys` and no other."""
        ...


@dataclass(frozen=True)
class Sighting:
    """One resource as it was looked for. `inputs` are None where Azure has none; values as in the state."""

    urn: str
    id: str
    said: dict[str, Any]
    inputs: dict[str, Any] | None
    untold: tuple[str, ...] = ()
    note: str = ""
    other_name: str | None = None
    """GUID of a role assignment that gives the same right under another name than the program's."""
    principal: str = ""


@dataclass
class Sightings:
    """What one run of a program looked for, by URN. Shared by the providers of that run."""

    by_urn: dict[str, Sighting] = field(default_factory=dict)


class _OnlyLooking:
    """An ARM client that can't change anything, and asks for each thing once."""

    def __init__(self, arm: LooksAtAzure) -> None:
        self._arm = arm
        self._answers: dict[tuple[str, ...], Any] = {}
        self._lock = threading.Lock()

    def find(self, path: str, api_version: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._once(
            ("find", path.lower(), api_version), lambda: self._arm.find(path, api_version)
        )
        return found

    def list(self, path: str, api_version: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._once(
            ("list", path.lower(), api_version), lambda: list(self._arm.list(path, api_version))
        )
        return found

    def post(self, path: str, api_version: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._arm.post(path, api_version, body)

    def put(self, path: str, *_: object, **__: object) -> dict[str, Any]:
        raise ArmError(0, "OnlyLooking", f"a bug: adopting a site must not change {path}")

    def delete(self, path: str, *_: object, **__: object) -> None:
        raise ArmError(0, "OnlyLooking", f"a bug: adopting a site must not delete {path}")

    def _once(self, key: tuple[str, ...], ask: Callable[[], Any]) -> Any:
        with self._lock:
            if key in self._answers:
                return self._answers[key]
        answer = ask()
        with self._lock:
            return self._answers.setdefault(key, answer)


class AdoptingProvider(AzureNativeProvider):
    """Answers a create with what is there, and notes in `sightings` how it differs.

    What is not there is answered as if it had been made, so that the rest of the program runs; whoever uses
    the state takes it out again. Without `keys` no key of a storage account is asked for: the program gets a
    text that is none, and the state must not be kept.
    """

    def __init__(
        self, arm: LooksAtAzure, sightings: Sightings, *, keys: bool, subscription_id: str | None = None
    ) -> None:
        self._looking = _OnlyLooking(arm)
        super().__init__(self._looking, subscription_id)
        self._sightings, self._keys = sightings, keys

    def Create(self, request: pb.CreateRequest, context: grpc.ServicerContext) -> pb.CreateResponse:  # noqa: N802
        """Find the resource; make nothing."""
        if request.preview:
            return super().Create(request, context)
        type_ = azure_types()[request.urn.split("::")[2].rsplit("$", 1)[-1]]
        inputs = from_struct(request.properties)
        plain = reveal(inputs)
        resource_id, version = self._id(type_, plain, context), type_.version_for(plain)
        # A failure to read it was told by the engine's own look, which comes first; `find` remembers.
        found = self._looking.find(resource_id, version)
        self._sightings.by_urn[request.urn] = self._seen(
            request.urn, type_, resource_id, version, inputs, found
        )
        if found is None:
            name = {"name": resource_id.rsplit("/", 1)[-1]}
            outputs = name | without_unknowns(type_.preview_outputs(inputs, {}))
        else:
            outputs = annotate_secrets(type_.to_outputs(found, version), inputs)
        return pb.CreateResponse(id=(found or {}).get("id") or resource_id, properties=to_struct(outputs))

    def Update(self, request: pb.UpdateRequest, context: grpc.ServicerContext) -> pb.UpdateResponse:  # noqa: N802
        """Leave it as it is: what the state has already is not this run's."""
        return pb.UpdateResponse(properties=request.olds)

    def Delete(self, request: pb.DeleteRequest, context: grpc.ServicerContext) -> Empty:  # noqa: N802
        """Delete nothing."""
        return Empty()

    def Invoke(self, request: pb.InvokeRequest, context: grpc.ServicerContext) -> pb.InvokeResponse:  # noqa: N802
        """As azure-native; but no key unless keys are asked for."""
        if request.tok == _KEYS and not self._keys:
            keys = [{"keyName": "key1", "value": Secret(_NO_KEY)}]
            return pb.InvokeResponse(**{"return": to_struct({"keys": keys})})
        return super().Invoke(request, context)

    def _seen(
        self, urn: str, type_: AzureType, resource_id: str, version: str, inputs: dict[str, Any], found: Any
    ) -> Sighting:
        if found is None:
            twin = self._twin(type_, inputs, version)
            name = str(twin["id"]).rsplit("/", 1)[-1] if twin else None
            return Sighting(
                urn, resource_id, inputs, None, other_name=name, principal=str(inputs.get("principalId", ""))
            )
        there = type_.to_outputs(found, version)
        fixed = (*type_.parameters, *filter(None, [type_.api_version_input]))
        properties = found.get("properties")
        state = properties.get("provisioningState") if isinstance(properties, dict) else None
        return Sighting(
            urn,
            str(found.get("id") or resource_id),
            inputs,
            as_azure_has(inputs, there, fixed, _is_secret),
            secret_paths(inputs, _is_secret),
            "" if state in (None, "Succeeded") else f"in Azure it is {state}",
        )

    def _twin(self, type_: AzureType, inputs: dict[str, Any], version: str) -> dict[str, Any] | None:
        """The assignment of the same right to the same principal at the same scope, if there is one."""
        if type_.token != ROLE_ASSIGNMENT:
            return None
        scope = str(inputs.get("scope", ""))
        try:
            assigned = self._looking.list(f"{scope}/providers/{_ROLES}", version)
        except ArmError as error:
            if not error.means_gone:  # of a scope that is not there yet there are no assignments
                raise
            return None
        for body in assigned:
            properties = body.get("properties") or {}
            if _grant(properties) == _grant(inputs) and str(properties.get("scope")).lower() == scope.lower():
                return body
        return None


def _grant(values: dict[str, Any]) -> tuple[str, str]:
    # A role's id may be written with or without a subscription: its GUID is what counts.
    role = str(values.get("roleDefinitionId", "")).rsplit("/", 1)[-1]
    return str(values.get("principalId", "")).lower(), role.lower()


def _is_secret(value: Any) -> bool:
    return isinstance(value, Secret | SealedSecret)
