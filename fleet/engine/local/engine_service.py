"""The engine service as the Pulumi SDK sees it: what the program logs, and the stack's URN."""

from typing import Any

from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2

from fleet.engine.local.session import Session
from fleet.ports.engine import Severity, UnsupportedByLocalEngine

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
