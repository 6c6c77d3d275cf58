"""The resource monitor and the engine as the Pulumi SDK sees them, without a gRPC connection.

The SDK calls these methods from the threads of its event loop's executor, one call a resource, when the
resource's inputs are at hand: that is what gives parallelism along dependencies.
"""

import threading
from dataclasses import replace
from typing import Any

from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2, provider_pb2, resource_pb2

from fleet.engine.local.checkpoint import ResourceState, make_urn
from fleet.engine.local.goals import Goal, goal_of, refuse_type
from fleet.engine.local.provider_host import ProviderCallError, StoppedError
from fleet.engine.local.reads import read
from fleet.engine.local.session import Session, plain, provider_reference
from fleet.engine.local.steps import new_state, step_component, step_custom, step_provider
from fleet.engine.local.values import (
    UNKNOWN_VALUE,
    UNKNOWN_WIRE,
    SealedSecret,
    Secret,
    contains_unknown,
    from_struct,
    leaves,
    mark_secret,
    to_struct,
    transform,
    without_unknowns,
)
from fleet.ports.engine import EngineError, Severity, UnsupportedByLocalEngine

_F = resource_pb2.ResourceMonitorFeature
# What is listed and not covered is refused by name when it is used: an SDK that is told "not supported"
# blames the version of the Pulumi CLI instead.
_FEATURES = (
    _F.RESOURCE_MONITOR_FEATURE_SECRETS,
    _F.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    _F.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
    _F.RESOURCE_MONITOR_FEATURE_REPLACE_WITH,
    _F.RESOURCE_MONITOR_FEATURE_TRANSFORMS,
    _F.RESOURCE_MONITOR_FEATURE_INVOKE_TRANSFORMS,
    _F.RESOURCE_MONITOR_FEATURE_PARAMETERIZATION,
    _F.RESOURCE_MONITOR_FEATURE_RESOURCE_HOOKS,
    _F.RESOURCE_MONITOR_FEATURE_ERROR_HOOKS,
)
_FEATURE_IDS = frozenset(
    {"secrets", "aliasSpecs", "deletedWith", "replaceWith", "transforms", "invokeTransforms"}
    | {"parameterization", "resourceHooks", "errorHooks"}
)


class LocalMonitor:
    """Takes registrations of one program and brings each resource to its goal.

    A resource that fails is answered as failed, so that independent ones go on; the SDK then holds its
    outputs unknown. An `EngineError` ends the program.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._registered: set[str] = set()
        self._failed: dict[str, str] = {}
        self._lock = threading.RLock()
        self.outputs: dict[str, Any] = {}
        """What the program exported."""

    # The SDK names these methods, and their parameters, as the protocol does.
    def RegisterResource(  # noqa: N802
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        """Bring one resource to its goal."""
        with _Aborting(self._session):
            goal = goal_of(request, self._session.run.stack)
            self._claim(goal.urn)
            goal = self._with_provider(goal) if goal.custom else goal
            state = new_state(goal, goal.inputs)
            if cause := self._failed_reference(goal):
                return self._skip(state, cause)
            try:
                state = self._step(goal)
            except StoppedError as error:
                return self._skip(state, error.message)
            except ProviderCallError as error:
                self._session.report.fail(state, error.code, error.message)
                return self._failure(state, state.name)
        response = resource_pb2.RegisterResourceResponse(urn=state.urn, id=state.id)
        if goal.custom:
            response.object.CopyFrom(to_struct(self._for_program(state)))
        return response

    def RegisterResourceOutputs(  # noqa: N802
        self, request: resource_pb2.RegisterResourceOutputsRequest
    ) -> Empty:
        """Keep what a component, or the stack, says about itself."""
        with _Aborting(self._session):
            outputs = from_struct(request.outputs)
            state = self._session.snapshot.current(request.urn)
            if state is None:
                return Empty()
            if state.type == "pulumi:pulumi:Stack":
                self.outputs = outputs
            if self._session.preview:
                return Empty()
            outputs = without_unknowns(outputs)
            if state.type == "pulumi:pulumi:Stack" and self._session.report.failures:
                # What a failed run does not know is what it was.
                outputs = {**state.outputs, **outputs}
            state.outputs = self._session.secrets.reuse(outputs, state.outputs)
        return Empty()

    def ReadResource(  # noqa: N802
        self, request: resource_pb2.ReadResourceRequest
    ) -> resource_pb2.ReadResourceResponse:
        """Read a resource that is managed elsewhere. A preview takes it from the state, or as unknown."""
        with _Aborting(self._session):
            session = self._session
            urn = make_urn(session.run.stack, request.parent, request.type, request.name)
            refuse_type(request.type, urn)
            if request.packageRef:
                raise UnsupportedByLocalEngine("parameterized providers", urn)
            self._claim(urn)
            goal = self._with_provider(
                Goal(
                    urn=urn,
                    type=request.type,
                    name=request.name,
                    custom=True,
                    inputs=from_struct(request.properties),
                    parent=request.parent,
                    provider=request.provider,
                    version=request.version,
                    dependencies=tuple(sorted(request.dependencies)),
                    additional_secret_outputs=tuple(request.additionalSecretOutputs),
                )
            )
            state = new_state(goal, goal.inputs)
            state.external, state.id = True, "" if request.id == UNKNOWN_WIRE else request.id
            cause = self._failed_reference(goal)
            if not cause and not session.preview and not state.id:
                cause = "its id is unknown, as what it comes from failed"
            if cause:
                self._skip(state, cause)
                return resource_pb2.ReadResourceResponse(urn=urn, result=resource_pb2.Result.FAIL)
            try:
                self._read(state)
            except ProviderCallError as error:
                session.report.fail(state, error.code, error.message)
                self._failure(state, state.name)
                return resource_pb2.ReadResourceResponse(urn=urn, result=resource_pb2.Result.FAIL)
        return resource_pb2.ReadResourceResponse(
            urn=urn, id=state.id, properties=to_struct(self._for_program(state))
        )

    def Invoke(  # noqa: N802
        self, request: resource_pb2.ResourceInvokeRequest
    ) -> resource_pb2.ResourceInvokeResponse:
        """Call a provider's function. Its answer is unknown in a preview, which must need no network."""
        with _Aborting(self._session):
            if request.tok.startswith("pulumi:") or request.packageRef:
                raise UnsupportedByLocalEngine(f"the function {request.tok}")
            if self._session.preview:
                return resource_pb2.ResourceInvokeResponse(unknown=True)
            package = request.tok.split(":", 1)[0]
            try:
                reference = request.provider or self._default_provider(package, request.version)
                client = self._session.providers.get(reference)
                with self._session.slot():
                    answer = client.call(
                        "Invoke",
                        provider_pb2.InvokeRequest(tok=request.tok, args=request.args),
                    )
            except ProviderCallError as error:
                self._session.report.fail(None, error.code, f"{request.tok}: {error.message}")
                return resource_pb2.ResourceInvokeResponse(unknown=True)
        result = getattr(answer, "return")
        for value in from_struct(result).values():
            if isinstance(value, Secret):
                self._session.secrets.remember(value)
        return resource_pb2.ResourceInvokeResponse(**{"return": result, "failures": answer.failures})

    def GetDeploymentInfo(self, request: Empty) -> resource_pb2.DeploymentInfo:  # noqa: N802
        """Say what this monitor can do."""
        return resource_pb2.DeploymentInfo(supportedFeatures=_FEATURES)

    def SupportsFeature(  # noqa: N802
        self, request: resource_pb2.SupportsFeatureRequest
    ) -> resource_pb2.SupportsFeatureResponse:
        """Say what this monitor can do, to an SDK from before `GetDeploymentInfo`."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in _FEATURE_IDS)

    def SignalAndWaitForShutdown(self, request: Empty) -> Empty:  # noqa: N802
        """The program has ended; there are no hooks to wait for."""
        return Empty()

    def Call(self, request: Any) -> Any:  # noqa: N802
        """Not covered."""
        self._refuse(f"the resource method {request.tok}")

    def ExistsResource(self, request: Any) -> Any:  # noqa: N802
        """Not covered."""
        self._refuse("asking whether a resource exists")

    def RegisterPackage(self, request: Any) -> Any:  # noqa: N802
        """Not covered."""
        self._refuse(f"the parameterized provider {request.name}")

    def RegisterStackTransform(self, request: Any) -> Any:  # noqa: N802
        """Not covered."""
        self._refuse("stack transforms")

    def RegisterStackInvokeTransform(self, request: Any) -> Any:  # noqa: N802
        """Not covered."""
        self._refuse("invoke transforms")

    def RegisterResourceHook(self, request: Any) -> Any:  # noqa: N802
        """Not covered."""
        self._refuse("resource hooks")

    def RegisterErrorHook(self, request: Any) -> Any:  # noqa: N802
        """Not covered."""
        self._refuse("error hooks")

    def _refuse(self, feature: str) -> None:
        with _Aborting(self._session):
            raise UnsupportedByLocalEngine(feature)

    def _step(self, goal: Goal) -> ResourceState:
        if not goal.custom:
            return step_component(self._session, goal)
        if goal.type.startswith("pulumi:providers:"):
            with self._lock:
                return step_provider(self._session, goal)
        return step_custom(self._session, goal, self._session.providers.get(goal.provider))

    def _claim(self, urn: str) -> None:
        with self._lock:
            if urn in self._registered:
                raise EngineError(f"the program declares {urn} twice; give one of them another name")
            self._registered.add(urn)

    def _with_provider(self, goal: Goal) -> Goal:
        """Give a resource the default provider of its package if the program names none."""
        if goal.provider or goal.type.startswith("pulumi:providers:"):
            return goal
        package = goal.type.split(":", 1)[0]
        try:
            return replace(goal, provider=self._default_provider(package, goal.version))
        except ProviderCallError:
            # Reported once, for the provider itself; whoever needs it is skipped.
            return replace(goal, provider=self._default_urn(package, goal.version) + "::")

    def _default_urn(self, package: str, version: str) -> str:
        name = "default" + (f"_{version.replace('.', '_')}" if version else "")
        return make_urn(self._session.run.stack, "", f"pulumi:providers:{package}", name)

    def _default_provider(self, package: str, version: str) -> str:
        urn = self._default_urn(package, version)
        with self._lock:
            if urn not in self._registered:
                self._registered.add(urn)
                inputs: dict[str, Any] = {"version": version} if version else {}
                prefix = f"{package}:"
                for config, secret in (
                    (self._session.run.config, False),
                    (self._session.run.secret_config, True),
                ):
                    for key, value in config.items():
                        if key.startswith(prefix):
                            inputs[key.removeprefix(prefix)] = Secret(value) if secret else value
                goal = Goal(urn, f"pulumi:providers:{package}", urn.rsplit("::", 1)[-1], True, inputs)
                try:
                    step_provider(self._session, goal)
                except ProviderCallError as error:
                    state = new_state(goal, goal.inputs)
                    self._session.report.fail(state, error.code, error.message)
                    self._failed[urn] = state.name
                    raise
            if urn in self._failed:
                raise ProviderCallError("ProviderFailed", f"the provider {self._failed[urn]} failed")
            state_now = self._session.snapshot.current(urn)
            assert state_now is not None
            return provider_reference(state_now)

    def _failed_reference(self, goal: Goal) -> str | None:
        with self._lock:
            failed = next((self._failed[urn] for urn in sorted(goal.references) if urn in self._failed), None)
        return failed and f"it depends on {failed}, which failed"

    def _skip(self, state: ResourceState, cause: str) -> resource_pb2.RegisterResourceResponse:
        self._session.report.skip(state, cause)
        return self._failure(state, state.name)

    def _failure(self, state: ResourceState, name: str) -> resource_pb2.RegisterResourceResponse:
        with self._lock:
            self._failed[state.urn] = name
        return resource_pb2.RegisterResourceResponse(urn=state.urn, result=resource_pb2.Result.FAIL)

    def _for_program(self, state: ResourceState) -> dict[str, Any]:
        """The outputs as the program gets them. A preview without the passphrase goes on with unknowns."""
        session = self._session
        if not session.preview or session.secrets.available:
            return session.open(state.outputs)
        session.needs_passphrase |= any(isinstance(v, SealedSecret) for v in leaves(state.outputs))
        return dict(transform(state.outputs, lambda v: UNKNOWN_VALUE if isinstance(v, SealedSecret) else v))

    def _read(self, state: ResourceState) -> None:
        session = self._session
        old = session.snapshot.old(state.urn)
        if session.preview:
            if old is not None and old.external and old.id == state.id:
                state.outputs = old.outputs
            else:
                state.outputs = {} if contains_unknown(state.inputs) else plain(state.inputs)
            session.snapshot.record(state, old if old is None or old.external else None)
            session.report.change(state, "read")
            return
        with session.slot():
            found = read(session.providers.get(state.provider), state)
        if found is None:
            raise ProviderCallError("NotFound", f"{state.id} does not exist")
        state.id, state.outputs, state.inputs = found.id, found.outputs, found.inputs
        if old is not None:
            state.outputs = session.secrets.reuse(state.outputs, old.outputs)
        state.outputs = mark_secret(state.outputs, state.additional_secret_outputs)
        session.snapshot.record(state, old if old is None or old.external else None)
        session.report.change(state, "read")


class _Aborting:
    """Notes an engine error on its way to the SDK, which would only pass on its text."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, EngineError):
            self._session.report.abort(error)
            self._session.stopping.set()


_SEVERITIES: dict[int, Severity] = {
    engine_pb2.LogSeverity.INFO: "info",
    engine_pb2.LogSeverity.WARNING: "warning",
    engine_pb2.LogSeverity.ERROR: "error",
}


class LocalEngineService:
    """The engine service that the SDK logs to."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._root = ""

    def Log(self, request: engine_pb2.LogRequest) -> Empty:  # noqa: N802
        """Pass on what the program says; what the SDK says to its developers is dropped."""
        if severity := _SEVERITIES.get(request.severity):
            state = self._session.snapshot.current(request.urn) if request.urn else None
            self._session.report.event("diagnostic", state, None, request.message, severity)
        return Empty()

    def GetRootResource(self, request: Any) -> engine_pb2.GetRootResourceResponse:  # noqa: N802
        """The URN of the stack."""
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: Any) -> engine_pb2.SetRootResourceResponse:  # noqa: N802
        """Note the URN of the stack."""
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(self, request: Any) -> Any:  # noqa: N802
        """Not covered: there is no CLI here whose version could be asked for."""
        error = UnsupportedByLocalEngine("require_pulumi_version")
        self._session.report.abort(error)
        raise error
