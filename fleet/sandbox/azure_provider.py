"""A stand-in for the azure-native plugin: Pulumi's provider protocol on one side, ARM on the other.

It serves the types in azure_types.yaml and refuses every other by name. The local engine calls it in
process; it keeps to the protocol, so that it can be served over gRPC to the Pulumi CLI as it is.
"""

from collections.abc import Mapping
from typing import Any, NoReturn, Protocol, TypeAlias

import grpc
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

from fleet.adapters.arm_client import OPERATION_TIMEOUT
from fleet.adapters.arm_errors import ArmError
from fleet.engine.local.diff import matches, parse_path, property_changes
from fleet.engine.local.provider_host import ERROR_CODE_METADATA, InitFailure, abort_init_failed
from fleet.engine.local.values import (
    SealedSecret,
    Secret,
    annotate_secrets,
    from_struct,
    reveal,
    to_struct,
)
from fleet.sandbox.azure_types import AzureType, azure_functions, azure_types, is_singleton

_VERSION = "3.29.0"

_Context: TypeAlias = grpc.ServicerContext
_KINDS = {
    ("add", False): pb.PropertyDiff.ADD,
    ("add", True): pb.PropertyDiff.ADD_REPLACE,
    ("remove", False): pb.PropertyDiff.DELETE,
    ("remove", True): pb.PropertyDiff.DELETE_REPLACE,
    ("update", False): pb.PropertyDiff.UPDATE,
    ("update", True): pb.PropertyDiff.UPDATE_REPLACE,
}
_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class Arm(Protocol):
    """What this provider needs of an ARM client: each call waits for a long-running operation to end.

    Every method raises `fleet.adapters.arm_errors.ArmError`.
    """

    def find(self, path: str, api_version: str) -> dict[str, Any] | None:
        """Read a resource, or None if Azure says that it does not exist (`ArmError.means_gone`)."""
        ...

    def put(
        self, path: str, api_version: str, body: dict[str, Any], *, timeout: float = OPERATION_TIMEOUT
    ) -> dict[str, Any]:
        """Create or replace a resource; `timeout` is in seconds."""
        ...

    def post(self, path: str, api_version: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run an action."""
        ...

    def delete(self, path: str, api_version: str, *, timeout: float = OPERATION_TIMEOUT) -> None:
        """Delete a resource; one that is gone is no error."""
        ...


class AzureNativeProvider(ResourceProviderServicer):
    """Serves azure-native's types from an ARM endpoint.

    Without `arm` it plans only: Check, Diff and previews work, and whatever would reach Azure fails with
    the code `NotConnected`. `subscription_id` is for a provider that is configured without one.
    """

    def __init__(self, arm: Arm | None = None, subscription_id: str | None = None) -> None:
        self._arm = arm
        self._subscription = subscription_id
        self._location: str | None = None

    # The protocol names these methods.
    def GetPluginInfo(self, request: Any, context: _Context) -> plugin_pb2.PluginInfo:  # noqa: N802
        """The version of azure-native that this stands in for."""
        return plugin_pb2.PluginInfo(version=_VERSION)

    def CheckConfig(self, request: pb.CheckRequest, context: _Context) -> pb.CheckResponse:  # noqa: N802
        """Accept any configuration; what matters is read by `Configure`."""
        return pb.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: pb.DiffRequest, context: _Context) -> pb.DiffResponse:  # noqa: N802
        """Another subscription is another place: its resources must be replaced."""
        old, new = reveal(from_struct(request.old_inputs)), reveal(from_struct(request.news))
        moved = old.get("subscriptionId") != new.get("subscriptionId")
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if old != new else pb.DiffResponse.DIFF_NONE,
            replaces=["subscriptionId"] if moved and old.get("subscriptionId") else [],
        )

    def Configure(self, request: pb.ConfigureRequest, context: _Context) -> pb.ConfigureResponse:  # noqa: N802
        """Take the subscription and the default location."""
        variables = {k.rsplit(":", 1)[-1]: v for k, v in request.variables.items()}
        args = {k: v for k, v in reveal(from_struct(request.args)).items() if isinstance(v, str)}
        settings = variables | args
        self._subscription = settings.get("subscriptionId") or self._subscription
        self._location = settings.get("location") or self._location
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def predict_id(self, type_: str, inputs: dict[str, Any]) -> str | None:
        """The id that a create will give. Not of the protocol: see `PredictsIds`."""
        known = azure_types().get(type_)
        return known.resource_id(inputs, self._subscription) if known else None

    def Check(self, request: pb.CheckRequest, context: _Context) -> pb.CheckResponse:  # noqa: N802
        """Check that the id can be composed. Names are not made up: a plan must not depend on chance."""
        type_ = _type_of(request.urn, context)
        news = from_struct(request.news)
        failures = []
        if type_.read_only:
            failures.append(pb.CheckFailure(reason=f"it can be read, not declared: {type_.read_only}"))
        for name in type_.parameters:
            value = reveal({name: news.get(name)})[name]
            empty_parent = name == "parentResourcePath" and value == ""
            if value is None or (value == "" and not empty_parent):
                failures.append(pb.CheckFailure(property=name, reason="is required, names too"))
            elif not isinstance(value, str) and name in news and isinstance(value, int | float | list | dict):
                failures.append(pb.CheckFailure(property=name, reason="must be text"))
        if type_.api_version_input and not news.get(type_.api_version_input):
            failures.append(pb.CheckFailure(property=type_.api_version_input, reason="is required"))
        if self._location and type_.located and "location" not in news:
            news["location"] = self._location
        return pb.CheckResponse(inputs=to_struct(news), failures=failures)

    def Diff(self, request: pb.DiffRequest, context: _Context) -> pb.DiffResponse:  # noqa: N802
        """Compare inputs, leaf by leaf, as azure-native does (provider/pkg/provider/provider.go)."""
        type_ = _type_of(request.urn, context)
        old = _normal(reveal(from_struct(request.old_inputs)))
        new = _normal(reveal(from_struct(request.news)))
        outputs = _normal(reveal(from_struct(request.olds)))
        patterns = [parse_path(name) for name in type_.replaces]
        detailed: dict[str, pb.PropertyDiff] = {}
        replaces = []
        for change in property_changes(old, new):
            path = parse_path(change.path)
            forces = any(matches(pattern, path) for pattern in patterns)
            if change.kind == "add" and forces:
                # Saying what Azure chose by itself the last time changes nothing.
                top = str(path[0])
                forces = top not in outputs or outputs[top] != new.get(top)
            detailed[change.path] = pb.PropertyDiff(kind=_KINDS[change.kind, forces], inputDiff=True)
            if forces:
                replaces.append(change.path)
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if detailed else pb.DiffResponse.DIFF_NONE,
            replaces=replaces,
            deleteBeforeReplace=bool(replaces),
            diffs=sorted({str(parse_path(path)[0]) for path in detailed}),
            detailedDiff=detailed,
            hasDetailedDiff=True,
        )

    def Create(self, request: pb.CreateRequest, context: _Context) -> pb.CreateResponse:  # noqa: N802
        """Create a resource that must not exist yet; one that ARM has from the start is taken over."""
        type_ = _type_of(request.urn, context)
        inputs = from_struct(request.properties)
        if request.preview:
            return pb.CreateResponse(properties=to_struct(type_.preview_outputs(inputs, {})))
        arm, plain = self._connected(context), reveal(inputs)
        resource_id = self._id(type_, plain, context)
        version = type_.version_for(plain)
        stack = request.urn.removeprefix("urn:pulumi:").partition("::")[0]
        if not is_singleton(resource_id) and _find(arm, resource_id, version, context) is not None:
            _fail(
                context,
                grpc.StatusCode.ALREADY_EXISTS,
                "AlreadyExists",
                f"'{resource_id}' exists already and is not this stack's: `fleet adopt {stack}` looks "
                "whether it is this site's, and with --yes takes it over; else give this one another name",
            )
        try:
            response = arm.put(
                resource_id, version, type_.to_body(plain), timeout=request.timeout or OPERATION_TIMEOUT
            )
        except ArmError as error:
            self._fail_create(arm, type_, resource_id, version, inputs, error, context)
        outputs = annotate_secrets(type_.to_outputs(response, version), inputs)
        return pb.CreateResponse(id=response.get("id") or resource_id, properties=to_struct(outputs))

    def Read(self, request: pb.ReadRequest, context: _Context) -> pb.ReadResponse:  # noqa: N802
        """Read a resource; one that is not in order is told as such, so that the next run repairs it."""
        type_ = _type_of(request.urn, context)
        inputs, state = from_struct(request.inputs), from_struct(request.properties)
        version = type_.version_for(inputs) or type_.version_for(state)
        if not version:
            _fail(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                "ApiVersionMissing",
                f"{type_.token} cannot be read by its id alone: its apiVersion is not known",
            )
        response = _find(self._connected(context), request.id, version, context)
        if response is None:
            return pb.ReadResponse()
        outputs = annotate_secrets(type_.to_outputs(response, version), inputs)
        resource_id = response.get("id") or request.id
        if not inputs:
            inputs = dict(type_.id_parameters(resource_id))
        else:
            inputs = _overlay(inputs, state, outputs) if state else _as_found(inputs, outputs)
        provisioning = _provisioning_state(response)
        if provisioning != "Succeeded":
            reason = f"its provisioningState is {provisioning}"
            abort_init_failed(
                context, InitFailure(resource_id, outputs, (reason,), inputs), "NotSucceeded", reason
            )
        return pb.ReadResponse(id=resource_id, properties=to_struct(outputs), inputs=to_struct(inputs))

    def Update(self, request: pb.UpdateRequest, context: _Context) -> pb.UpdateResponse:  # noqa: N802
        """Put the whole resource again.

        What Azure took on and then failed at is told with what was sent, as azure-native does with a partial
        update: the state must not go on saying what was sent the time before.
        """
        type_ = _type_of(request.urn, context)
        inputs = from_struct(request.news)
        if request.preview:
            outputs = type_.preview_outputs(inputs, from_struct(request.olds))
            return pb.UpdateResponse(properties=to_struct(outputs))
        arm, plain = self._connected(context), reveal(inputs)
        version = type_.version_for(plain)
        try:
            response = arm.put(
                request.id, version, type_.to_body(plain), timeout=request.timeout or OPERATION_TIMEOUT
            )
        except ArmError as error:
            if not error.accepted:
                _fail_arm(context, error)
            there = _found_or_none(arm, request.id, version)
            before = from_struct(request.olds)
            outputs = annotate_secrets(type_.to_outputs(there, version), inputs) if there else before
            partial = InitFailure(request.id, outputs, (error.message,), inputs)
            abort_init_failed(context, partial, error.code, error.message)
        outputs = annotate_secrets(type_.to_outputs(response, version), inputs)
        return pb.UpdateResponse(properties=to_struct(outputs))

    def Delete(self, request: pb.DeleteRequest, context: _Context) -> Empty:  # noqa: N802
        """Delete a resource and wait until it is gone. One that is gone already is no error."""
        type_ = _type_of(request.urn, context)
        arm = self._connected(context)
        values = from_struct(request.properties) | from_struct(request.old_inputs)
        try:
            arm.delete(request.id, type_.version_for(values), timeout=request.timeout or OPERATION_TIMEOUT)
        except ArmError as error:
            _fail_arm(context, error)
        return Empty()

    def Invoke(self, request: pb.InvokeRequest, context: _Context) -> pb.InvokeResponse:  # noqa: N802
        """Call a function of azure_types.yaml; what is secret in its answer is marked so."""
        function = azure_functions().get(request.tok)
        if function is None:
            _refuse(context, request.tok, list(azure_functions()))
        args = reveal(from_struct(request.args))
        arm = self._connected(context)
        path = f"{self._id(function.of, args, context)}/{function.action}"
        try:
            answer = arm.post(path, function.of.api_version, {})
        except ArmError as error:
            _fail_arm(context, error)
        return pb.InvokeResponse(**{"return": to_struct(_hide(answer, function.secrets))})

    def _connected(self, context: _Context) -> Arm:
        if self._arm is None:
            _fail(
                context,
                grpc.StatusCode.UNAVAILABLE,
                "NotConnected",
                "no Azure Resource Manager endpoint is configured: this provider can only plan",
            )
        return self._arm

    def _id(self, type_: AzureType, plain: Mapping[str, Any], context: _Context) -> str:
        resource_id = type_.resource_id(plain, self._subscription)
        if resource_id is None:
            missing = "subscriptionId is not configured" if not self._subscription else "a name is not known"
            _fail(context, grpc.StatusCode.INVALID_ARGUMENT, "IdUnknown", f"the id is not known: {missing}")
        return resource_id

    def _fail_create(
        self,
        arm: Arm,
        type_: AzureType,
        resource_id: str,
        version: str,
        inputs: dict[str, Any],
        error: ArmError,
        context: _Context,
    ) -> NoReturn:
        """Fail a create; if the resource is there all the same, it is ours and must be kept track of.

        So it is where nobody can tell: nothing was there just before, and Azure has, or may have, taken on
        what was sent. The next run puts it again; else it would find a resource that it does not know.
        """
        try:
            response = arm.find(resource_id, version)
        except ArmError:
            response = {} if error.accepted or error.in_doubt else None
        if response is None:
            _fail_arm(context, error)
        outputs = annotate_secrets(type_.to_outputs(response, version), inputs)
        failure = InitFailure(resource_id, outputs, (error.message,), inputs)
        abort_init_failed(context, failure, error.code, error.message)


def _type_of(urn: str, context: _Context) -> AzureType:
    token = urn.split("::")[2].rsplit("$", 1)[-1]
    known = azure_types().get(token)
    if known is None:
        _refuse(context, token, list(azure_types()))
    return known


def _refuse(context: _Context, token: str, known: list[str]) -> NoReturn:
    _fail(
        context,
        grpc.StatusCode.UNIMPLEMENTED,
        "UnknownType",
        f"the sandbox's azure-native provider has no {token}; it has {', '.join(sorted(known))}. "
        "A resource of any other type can be declared as azure-native:resources:Resource",
    )


def _fail(context: _Context, status: grpc.StatusCode, code: str, message: str) -> NoReturn:
    context.set_trailing_metadata(((ERROR_CODE_METADATA, code),))
    context.abort(status, message)
    raise AssertionError("abort does not return")


def _fail_arm(context: _Context, error: ArmError) -> NoReturn:
    _fail(context, _STATUS.get(error.status, grpc.StatusCode.UNKNOWN), error.code, error.message)


def _find(arm: Arm, resource_id: str, version: str, context: _Context) -> dict[str, Any] | None:
    try:
        return arm.find(resource_id, version)
    except ArmError as error:
        _fail_arm(context, error)


def _found_or_none(arm: Arm, resource_id: str, version: str) -> dict[str, Any] | None:
    """A look after a failure: that failure is what to tell, not this one's."""
    try:
        return arm.find(resource_id, version)
    except ArmError:
        return None


def _provisioning_state(response: Mapping[str, Any]) -> str:
    properties = response.get("properties")
    state = properties.get("provisioningState") if isinstance(properties, Mapping) else None
    return str(state or "Succeeded")


def _normal(values: dict[str, Any]) -> dict[str, Any]:
    """Inputs with the location as Azure writes it: `West Europe` is `westeurope`."""
    location = values.get("location")
    return values | {"location": location.lower().replace(" ", "")} if isinstance(location, str) else values


def _overlay(inputs: Any, before: Any, now: Any) -> Any:
    """Inputs with what changed in Azure since `before`, where the program had said something."""
    if not (isinstance(inputs, dict) and isinstance(before, dict) and isinstance(now, dict)):
        return inputs if before == now else now
    result = {}
    for key, value in inputs.items():
        if key not in before or before[key] == now.get(key):
            result[key] = value
        elif key in now:
            result[key] = _overlay(value, before[key], now[key])
    return result


def _as_found(inputs: Any, found: Any) -> Any:
    """Inputs with what Azure has wherever the program had said something and Azure tells.

    For a resource of which nothing is recorded but what was asked for. A secret is not looked at.
    """
    if isinstance(inputs, dict) and isinstance(found, dict):
        return {key: _as_found(value, found.get(key)) for key, value in inputs.items()}
    if isinstance(inputs, list) and isinstance(found, list) and len(inputs) == len(found):
        return [_as_found(asked, there) for asked, there in zip(inputs, found, strict=True)]
    if found is None or isinstance(inputs, Secret | SealedSecret):
        return inputs
    return found


def _hide(value: Any, keys: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {k: Secret(v) if k in keys and v is not None else _hide(v, keys) for k, v in value.items()}
    return [_hide(item, keys) for item in value] if isinstance(value, list) else value
