"""A stand-in for the kubernetes plugin: Pulumi's provider protocol on one side, an API server on the other.

Every object is applied server-side under a field manager of its own, in Pulumi's form. Not covered, of what
Pulumi's provider does: waiting until workloads are ready (only new kinds are waited for), Helm (a release is
planned, and refused when it would be changed), patches, lists, YAML files, charts, rendering to a folder.
"""

import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

from fleet.engine.local.diff import parse_path, property_changes
from fleet.engine.local.provider_host import ERROR_CODE_METADATA
from fleet.engine.local.values import UNKNOWN_VALUE, annotate_secrets, from_struct, reveal, to_struct
from fleet.sandbox.kubernetes_client import KIND_NOT_SERVED, TIMEOUT_S, KubernetesClient, KubernetesError
from fleet.sandbox.kubernetes_config import ClusterAccess, KubeconfigError, read_kubeconfig
from fleet.sandbox.kubernetes_objects import (
    FIELD_MANAGER_KEY,
    Kind,
    body_of,
    drifted,
    field_manager,
    forces_replacement,
    inputs_of,
    kind_of,
    manages,
    object_id,
    outputs_of,
    parse_id,
)

_VERSION = "4.34.2"
_FORCE_ANNOTATION = "pulumi.com/patchForce"
_PLANNED_ONLY = (
    "this stand-in for Pulumi's kubernetes provider does not run Helm: it plans a release and changes none; "
    "bring it about with the Pulumi CLI, or leave it to Flux"
)

_Context: TypeAlias = grpc.ServicerContext
_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_KINDS = {
    ("add", False): pb.PropertyDiff.ADD,
    ("add", True): pb.PropertyDiff.ADD_REPLACE,
    ("remove", False): pb.PropertyDiff.DELETE,
    ("remove", True): pb.PropertyDiff.DELETE_REPLACE,
    ("update", False): pb.PropertyDiff.UPDATE,
    ("update", True): pb.PropertyDiff.UPDATE_REPLACE,
}


class KubernetesProvider(ResourceProviderServicer):
    """Serves any `kubernetes:GROUP/VERSION:Kind` from the API server that its `kubeconfig` names.

    The cluster is reached when something is changed or read, never in a plan: without a kubeconfig, or with
    one that is not known yet, Check, Diff and previews work. `connect` makes the client, for tests.
    """

    def __init__(self, connect: Callable[[ClusterAccess], KubernetesClient] = KubernetesClient) -> None:
        self._connect = connect
        self._client: KubernetesClient | None = None
        self._lock = threading.Lock()
        self._settings: dict[str, Any] = {}

    def close(self) -> None:
        """Close the connections to the cluster, if there are any."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    # The protocol names these methods.
    def GetPluginInfo(self, request: Any, context: _Context) -> plugin_pb2.PluginInfo:  # noqa: N802
        """The version of pulumi-kubernetes that this stands in for."""
        return plugin_pb2.PluginInfo(version=_VERSION)

    def CheckConfig(self, request: pb.CheckRequest, context: _Context) -> pb.CheckResponse:  # noqa: N802
        """A kubeconfig that can't be used is refused here, before anything is declared with it."""
        failures = []
        text = reveal(from_struct(request.news)).get("kubeconfig")
        if isinstance(text, str):
            try:
                read_kubeconfig(text)
            except KubeconfigError as error:
                failures.append(pb.CheckFailure(property="kubeconfig", reason=str(error)))
        return pb.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: pb.DiffRequest, context: _Context) -> pb.DiffResponse:  # noqa: N802
        """Another cluster is another place: its resources are replaced. A new credential is none."""
        old, new = reveal(from_struct(request.old_inputs)), reveal(from_struct(request.news))
        before, now = _cluster_of(old), _cluster_of(new)
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if old != new else pb.DiffResponse.DIFF_NONE,
            replaces=[now[0]] if before and now and before != now else [],
        )

    def Configure(self, request: pb.ConfigureRequest, context: _Context) -> pb.ConfigureResponse:  # noqa: N802
        """Keep the settings; nothing is connected yet."""
        variables = {k.rsplit(":", 1)[-1]: v for k, v in request.variables.items()}
        args = {k: v for k, v in reveal(from_struct(request.args)).items() if isinstance(v, str | bool)}
        self._settings = variables | args
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def predict_id(self, type_: str, inputs: dict[str, Any]) -> str | None:
        """The id that a create will give. Not of the protocol: see `PredictsIds`."""
        kind, metadata = kind_of(type_), inputs.get("metadata")
        if kind is None or kind.is_helm_release or not isinstance(metadata, Mapping):
            return None
        try:
            namespace = self._namespace(self._reach(), kind, metadata)
        except (KubernetesError, KubeconfigError):
            return None  # the create will say what is wrong
        return object_id({**metadata, "namespace": namespace})

    def Check(self, request: pb.CheckRequest, context: _Context) -> pb.CheckResponse:  # noqa: N802
        """Check that the object has a name: none is made up, as a plan must not depend on chance."""
        kind = _kind_of(request.urn, context)
        news = reveal(from_struct(request.news))
        metadata = news.get("metadata")
        failures = []
        unnamed = metadata is not UNKNOWN_VALUE and not _metadata(news).get("name")
        if unnamed and not kind.is_helm_release:
            failures.append(
                pb.CheckFailure(property="metadata.name", reason="is required; names are not made up")
            )
        for key, said in (("apiVersion", kind.api_version), ("kind", kind.kind)):
            value = news.get(key, said)
            if not kind.is_helm_release and isinstance(value, str) and value != said:
                failures.append(
                    pb.CheckFailure(property=key, reason=f"is not {said}, as the resource's type says")
                )
        return pb.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: pb.DiffRequest, context: _Context) -> pb.DiffResponse:  # noqa: N802
        """Compare inputs, leaf by leaf. An object under the same name is deleted before it is made again."""
        kind = _kind_of(request.urn, context)
        old, new = reveal(from_struct(request.old_inputs)), reveal(from_struct(request.news))
        mutable = {
            name
            for name, setting in (("ConfigMap", "enableConfigMapMutable"), ("Secret", "enableSecretMutable"))
            if _on(self._settings.get(setting))
        }
        detailed, replaces = {}, []
        for change in property_changes(old, new):
            forces = forces_replacement(kind, change.path, mutable=frozenset(mutable))
            detailed[change.path] = pb.PropertyDiff(kind=_KINDS[change.kind, forces], inputDiff=True)
            replaces += [change.path] if forces else []
        moved = object_id(_metadata(old)) != object_id(_metadata(new))
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if detailed else pb.DiffResponse.DIFF_NONE,
            replaces=replaces,
            deleteBeforeReplace=bool(replaces) and not moved,
            diffs=sorted({str(parse_path(path)[0]) for path in detailed}),
            detailedDiff=detailed,
            hasDetailedDiff=True,
        )

    def Create(self, request: pb.CreateRequest, context: _Context) -> pb.CreateResponse:  # noqa: N802
        """Apply an object that must not exist yet, unless its own field manager has applied it before.

        As in Pulumi's provider since 4.29 nothing is taken over without `upsertExistingObjects`. Between the
        look and the apply another could make the same object; then the server tells where they conflict.
        """
        kind, inputs = _kind_of(request.urn, context), from_struct(request.properties)
        if request.preview:
            return pb.CreateResponse(properties=to_struct(inputs))
        client, body = self._connected(kind, context), body_of(reveal(inputs), kind)
        manager = field_manager(request.urn)
        try:
            namespace = self._namespace(client, kind, body["metadata"])
            name = body["metadata"]["name"]
            there = client.find(kind, namespace, name)
            if there is not None and there["metadata"].get("deletionTimestamp"):
                client.wait_gone(kind, namespace, name, request.timeout or TIMEOUT_S)
                there = None
            if there is not None and not manages(there, manager) and not self._on("upsertExistingObjects"):
                _fail(
                    context,
                    grpc.StatusCode.ALREADY_EXISTS,
                    "AlreadyExists",
                    f"{kind.kind} {object_id(there['metadata'])} exists already and is not this stack's: "
                    "find out whose it is, import it, or give this one another name",
                )
            live = client.apply(kind, namespace, body, manager, force=self._force(body))
        except KubernetesError as error:
            _fail_kubernetes(context, error)
        outputs = annotate_secrets(outputs_of(live, inputs, manager, kind), inputs)
        return pb.CreateResponse(id=object_id(live["metadata"]), properties=to_struct(outputs))

    def Read(self, request: pb.ReadRequest, context: _Context) -> pb.ReadResponse:  # noqa: N802
        """Read an object. Its inputs are those of the program with what has changed in the cluster."""
        kind = _kind_of(request.urn, context)
        inputs, state = from_struct(request.inputs), from_struct(request.properties)
        namespace, name = parse_id(request.id)
        try:
            live = self._connected(kind, context).find(kind, namespace, name)
        except KubernetesError as error:
            _fail_kubernetes(context, error)
        if live is None:
            return pb.ReadResponse()
        manager = state.get(FIELD_MANAGER_KEY) or field_manager(request.urn)
        found = drifted(inputs, state or None, live) if inputs else inputs_of(live)
        outputs = annotate_secrets(outputs_of(live, found, str(manager), kind), found)
        return pb.ReadResponse(
            id=object_id(live["metadata"]), properties=to_struct(outputs), inputs=to_struct(found)
        )

    def Update(self, request: pb.UpdateRequest, context: _Context) -> pb.UpdateResponse:  # noqa: N802
        """Apply the object again under its field manager: what the program no longer says goes."""
        kind, inputs = _kind_of(request.urn, context), from_struct(request.news)
        state = from_struct(request.olds)
        if request.preview:
            return pb.UpdateResponse(properties=to_struct(state | inputs))
        client, body = self._connected(kind, context), body_of(reveal(inputs), kind)
        manager = str(state.get(FIELD_MANAGER_KEY) or field_manager(request.urn))
        try:
            live = client.apply(kind, parse_id(request.id)[0], body, manager, force=self._force(body))
        except KubernetesError as error:
            _fail_kubernetes(context, error)
        outputs = annotate_secrets(outputs_of(live, inputs, manager, kind), inputs)
        return pb.UpdateResponse(properties=to_struct(outputs))

    def Delete(self, request: pb.DeleteRequest, context: _Context) -> Empty:  # noqa: N802
        """Delete an object, and wait until it is gone. One that is gone already is no error."""
        kind = _kind_of(request.urn, context)
        namespace, name = parse_id(request.id)
        try:
            self._connected(kind, context).delete(kind, namespace, name, request.timeout or TIMEOUT_S)
        except KubernetesError as error:
            _fail_kubernetes(context, error)
        return Empty()

    def Invoke(self, request: pb.InvokeRequest, context: _Context) -> pb.InvokeResponse:  # noqa: N802
        """None of the package's functions is served."""
        _refuse(context, f"the function {request.tok}")

    def _connected(self, kind: Kind, context: _Context) -> KubernetesClient:
        if kind.is_helm_release:
            _fail(context, grpc.StatusCode.UNIMPLEMENTED, "HelmNotSupported", _PLANNED_ONLY)
        try:
            return self._reach()
        except KubeconfigError as error:
            _fail(context, grpc.StatusCode.UNAVAILABLE, "NotConnected", f"the kubeconfig: {error}")

    def _reach(self) -> KubernetesClient:
        with self._lock:
            if self._client is None:
                text = self._settings.get("kubeconfig")
                if not isinstance(text, str) or not text:
                    raise KubeconfigError("the provider has none, so that it can only plan")
                self._client = self._connect(read_kubeconfig(text, self._settings.get("context")))
                weakref.finalize(self, self._client.close)
            return self._client

    def _namespace(self, client: KubernetesClient, kind: Kind, metadata: Mapping[str, Any]) -> str | None:
        if not client.namespaced(kind):
            return None
        return str(metadata.get("namespace") or self._settings.get("namespace") or client.access.namespace)

    def _on(self, setting: str) -> bool:
        return _on(self._settings.get(setting))

    def _force(self, body: Mapping[str, Any]) -> bool:
        annotations = body["metadata"].get("annotations") or {}
        return _on(annotations.get(_FORCE_ANNOTATION)) or self._on("enablePatchForce")


def _metadata(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = inputs.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def _on(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _cluster_of(settings: Mapping[str, Any]) -> tuple[str, str] | None:
    """What says which cluster a provider is for, and which setting says it; None where it is not known."""
    if identifier := settings.get("clusterIdentifier"):
        return "clusterIdentifier", str(identifier)
    text = settings.get("kubeconfig")
    try:
        return ("kubeconfig", read_kubeconfig(text).server) if isinstance(text, str) else None
    except KubeconfigError:
        return None


def _kind_of(urn: str, context: _Context) -> Kind:
    token = urn.split("::")[2].rsplit("$", 1)[-1]
    kind = kind_of(token)
    if kind is None:
        _refuse(context, token)
    return kind


def _refuse(context: _Context, what: str) -> NoReturn:
    _fail(
        context,
        grpc.StatusCode.UNIMPLEMENTED,
        "UnknownType",
        f"the sandbox's kubernetes provider has no {what}: it serves single objects, "
        "kubernetes:GROUP/VERSION:Kind",
    )


def _fail(context: _Context, status: grpc.StatusCode, code: str, message: str) -> NoReturn:
    context.set_trailing_metadata(((ERROR_CODE_METADATA, code),))
    context.abort(status, message)
    raise AssertionError("abort does not return")


def _fail_kubernetes(context: _Context, error: KubernetesError) -> NoReturn:
    message = str(error)
    if error.reason == "Conflict":
        message += (
            f"; another manager owns these fields: have it let go of them, or take them with the annotation "
            f'{_FORCE_ANNOTATION}: "true"'
        )
    elif error.status == 404:
        message += "" if error.reason == KIND_NOT_SERVED else "; declare what it lives in first"
    _fail(context, _STATUS.get(error.status, grpc.StatusCode.UNAVAILABLE), error.reason, message)
