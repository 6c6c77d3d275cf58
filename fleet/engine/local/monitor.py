"""The resource monitor and the engine as the Pulumi SDK sees them, without a gRPC connection.

The SDK calls these methods from the threads of its event loop's executor, one call a resource, when the
resource's inputs are at hand: that is what gives parallelism along dependencies.
"""

import threading
from typing import Any

from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2, resource_pb2

from fleet.engine.local.checkpoint import ResourceState, make_urn
from fleet.engine.local.default_providers import DefaultProviders
from fleet.engine.local.external import step_read
from fleet.engine.local.goals import STACK_TYPE, Goal, goal_of, refuse_type
from fleet.engine.local.inputs import new_state
from fleet.engine.local.provider_host import ProviderCallError, StoppedError
from fleet.engine.local.session import Session
from fleet.engine.local.steps import step_component, step_custom, step_provider
from fleet.engine.local.targets import UNTARGETED_DEPENDENCY
from fleet.engine.local.values import (
    UNKNOWN_VALUE,
    UNKNOWN_WIRE,
    SealedSecret,
    Secret,
    from_struct,
    leaves,
    to_struct,
    transform,
    without_unknowns,
)
from fleet.ports.engine import EngineError, UnsupportedByLocalEngine

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
        self._defaults = DefaultProviders(session)
        self._failed: dict[str, str] = {}
        self._left_out: dict[str, str] = {}
        self._kept: set[str] = set()
        self._lock = threading.RLock()
        self.outputs: dict[str, Any] = {}
        """What the program exported."""

    # The SDK names these methods, and their parameters, as the protocol does.
    def RegisterResource(  # noqa: N802
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        """Bring one resource to its goal, or leave it as it is if it is no target."""
        with _Aborting(self._session):
            goal = goal_of(request, self._session.run.stack)
            self._session.lineage.declare(goal.urn)
            state = new_state(goal, goal.inputs)
            if not self._is_target(goal):
                return self._leave(goal)
            goal = self._defaults.give(goal) if goal.custom else goal
            if cause := self._failed_reference(goal):
                return self._skip(state, cause)
            try:
                self._require_no_left_out(goal)
                state = self._step(goal)
            except StoppedError as error:
                return self._skip(state, error.message)
            except ProviderCallError as error:
                self._session.report.fail(state, error.code, error.message)
                return self._failure(state, state.name)
            return self._answer(state)

    def _answer(self, state: ResourceState) -> resource_pb2.RegisterResourceResponse:
        response = resource_pb2.RegisterResourceResponse(urn=state.urn, id=state.id)
        if state.custom:
            response.object.CopyFrom(to_struct(self._for_program(state)))
        return response

    def _is_target(self, goal: Goal) -> bool:
        """Whether to attend to a resource: a target, or what takes part in any case."""
        return (
            self._session.targets.covers(goal)
            or goal.is_provider
            or goal.type == STACK_TYPE
            # Deleted in this run for a target's sake, so it must be made again.
            or goal.urn in self._session.replaced
        )

    def _leave(self, goal: Goal) -> resource_pb2.RegisterResourceResponse:
        """Keep a resource that is no target as the state has it; one that is not there stays so."""
        session = self._session
        old = session.lineage.find(goal)
        if old is None or old.pending_replacement:
            with self._lock:
                self._left_out[goal.urn] = goal.name
            # To the SDK its outputs are unknown, as with one that failed; it counts as neither.
            return resource_pb2.RegisterResourceResponse(urn=goal.urn, result=resource_pb2.Result.FAIL)
        with self._lock:
            self._kept.add(old.urn)
        session.snapshot.record(old, old)
        session.report.change(old, "same")
        return self._answer(old)

    def _require_no_left_out(self, goal: Goal) -> None:
        with self._lock:
            missing = next((urn for urn in sorted(goal.references) if urn in self._left_out), None)
        if missing is not None:
            raise ProviderCallError(
                UNTARGETED_DEPENDENCY,
                f"it depends on {self._left_out[missing]}, which does not exist yet and is no target; "
                f"make {missing} a target too",
            )

    def RegisterResourceOutputs(  # noqa: N802
        self, request: resource_pb2.RegisterResourceOutputsRequest
    ) -> Empty:
        """Keep what a component, or the stack, says about itself."""
        with _Aborting(self._session):
            outputs = from_struct(request.outputs)
            state = self._session.snapshot.current(request.urn)
            if state is None or request.urn in self._kept:
                return Empty()
            if state.type == STACK_TYPE:
                self.outputs = outputs
            if self._session.preview:
                return Empty()
            outputs = without_unknowns(outputs)
            if state.type == STACK_TYPE and (self._session.report.failures or self._session.targets.limited):
                # What a failed or limited run does not know is what it was.
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
            session.lineage.declare(urn)
            goal = self._defaults.give(
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
                step_read(session, state)
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
                reference = request.provider or self._defaults.reference(package, request.version)
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
        if goal.is_provider:
            with self._lock:
                return step_provider(self._session, goal)
        return step_custom(self._session, goal, self._session.providers.get(goal.provider))

    def _failed_reference(self, goal: Goal) -> str | None:
        with self._lock:
            failed = next((self._failed[urn] for urn in sorted(goal.references) if urn in self._failed), None)
        failed = failed or self._defaults.failed(goal)
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
