"""Providers in process: Pulumi's provider protocol with real protobuf messages and no network.

A provider is a `ResourceProviderServicer`, as it would be served over gRPC to the Pulumi CLI. This module
calls one directly and turns what it would answer over gRPC, status codes and details included, into
Python values and one exception.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol, TypeAlias, runtime_checkable

import grpc
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import status_pb2
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

from fleet.engine.local.values import from_struct, reveal, to_struct
from fleet.ports.engine import EngineError

ProviderFactory: TypeAlias = Callable[[str], ResourceProviderServicer]
"""Makes the provider of a package, e.g. `azure-native`; each provider resource gets one of its own.

Raises `UnsupportedByLocalEngine` for a package that it has no provider for. Must be picklable, or made in
the process that runs the engine.
"""

ERROR_CODE_METADATA = "fleet-error-code"
"""Trailing metadata in which a provider may send its own error code, such as ARM's `QuotaExceeded`."""

NOT_CONNECTED = "NotConnected"
"""The error code of a provider that was started without a connection: it can plan, and not look."""


@runtime_checkable
class PredictsIds(Protocol):
    """What a provider may add to the protocol: the id that a create will give, if inputs determine it.

    The engine records it before a create, so that a create cut short by a crash can be found again.
    """

    def predict_id(self, type_: str, inputs: dict[str, Any]) -> str | None:
        """The id, or None when it cannot be known before."""
        ...


@dataclass(frozen=True)
class InitFailure:
    """A resource that exists and did not come up (Pulumi's `ErrorResourceInitFailed`).

    `inputs` are those that it has; empty where the provider does not tell.
    """

    id: str
    properties: dict[str, Any]
    reasons: tuple[str, ...]
    inputs: dict[str, Any] = field(default_factory=dict)


class ProviderCallError(Exception):
    """A provider refused or failed a call. `partial` is set when the resource exists all the same."""

    def __init__(self, code: str, message: str, partial: InitFailure | None = None) -> None:
        self.code, self.message, self.partial = code, message, partial
        super().__init__(f"{code}: {message}" if code else message)


class StoppedError(ProviderCallError):
    """An effect was not begun, because the run is being stopped."""

    def __init__(self) -> None:
        super().__init__("Stopped", "the run was stopped before this was begun")


class _Aborted(Exception):  # noqa: N818 -- how gRPC's context leaves a handler
    pass


class InProcessContext(grpc.ServicerContext):  # type: ignore[misc]
    """The part of a gRPC context that a provider may use, without a connection behind it."""

    def __init__(self) -> None:
        self.status: grpc.StatusCode = grpc.StatusCode.OK
        self.text = ""
        self.trailing: dict[str, Any] = {}

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with an error."""
        self.status, self.text = code, details
        raise _Aborted

    def abort_with_status(self, status: Any) -> NoReturn:
        """End the call with a rich status."""
        self.set_trailing_metadata(status.trailing_metadata or ())
        self.abort(status.code, status.details)

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set the status that the call ends with."""
        self.status = code

    def set_details(self, details: str) -> None:
        """Set the message that the call ends with."""
        self.text = details

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Set what is sent after the answer."""
        self.trailing = dict(trailing_metadata)

    def is_active(self) -> bool:
        """A call in process cannot be cut off."""
        return True

    def time_remaining(self) -> None:
        """No deadline but the one in the request."""

    def cancel(self) -> None:
        """Nothing to cancel."""

    def add_callback(self, callback: Any) -> bool:
        """Calls are not cancelled, so no callback is kept."""
        return False

    def invocation_metadata(self) -> tuple[()]:
        """No metadata is sent in process."""
        return ()

    def peer(self) -> str:
        """The other end."""
        return "in-process"

    def peer_identities(self) -> None:
        """No identities in process."""

    def peer_identity_key(self) -> None:
        """No identities in process."""

    def auth_context(self) -> dict[str, Any]:
        """No authentication in process."""
        return {}

    def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Nobody reads it."""


class ProviderClient:
    """One configured provider. Safe to use from several threads if the provider is."""

    def __init__(self, package: str, servicer: ResourceProviderServicer) -> None:
        self.package = package
        self._servicer = servicer
        self.accepts_secrets = True
        self.supports_preview = False

    def call(self, method: str, request: Any) -> Any:
        """Call one method of the protocol. Raises `ProviderCallError`."""
        context = InProcessContext()
        try:
            response = getattr(self._servicer, method)(request, context)
        except _Aborted:
            response = None
        except NotImplementedError as error:
            raise ProviderCallError(
                "Unimplemented", f"the {self.package} provider does not implement {method}"
            ) from error
        except EngineError:
            raise
        except Exception as error:
            # A bug in a provider fails its resource, not the run; its class is the best code there is.
            raise ProviderCallError(type(error).__name__, str(error)) from error
        if context.status is not grpc.StatusCode.OK or response is None:
            raise _error(context)
        return response

    def configure(self, inputs: dict[str, Any], *, urn: str) -> None:
        """Configure the provider with its own, opened, inputs."""
        variables = {
            f"{self.package}:config:{key}": str(value)
            for key, value in reveal(inputs).items()
            if isinstance(value, str | int | float | bool)
        }
        response = self.call(
            "Configure",
            pb.ConfigureRequest(
                variables=variables,
                args=to_struct(inputs),
                acceptSecrets=True,
                acceptResources=False,
                sends_old_inputs=True,
                sends_old_inputs_to_delete=True,
                urn=urn,
            ),
        )
        self.accepts_secrets = response.acceptSecrets
        self.supports_preview = response.supportsPreview

    def predict_id(self, type_: str, inputs: dict[str, Any]) -> str:
        """The id that a create of these (revealed) inputs will give, or "" when it is not known."""
        if isinstance(self._servicer, PredictsIds):
            return self._servicer.predict_id(type_, inputs) or ""
        return ""

    def delete(self, request: pb.DeleteRequest) -> None:
        """Delete a resource."""
        # Providers may answer with nothing at all, which in process is None.
        answer: Empty = self.call("Delete", request)
        del answer


def _error(context: InProcessContext) -> ProviderCallError:
    code = str(context.trailing.get(ERROR_CODE_METADATA, "")) or _camel(context.status.name)
    message = context.text or "the provider gave no reason"
    details = context.trailing.get("grpc-status-details-bin")
    if details:
        status = status_pb2.Status.FromString(details)
        for detail in status.details:
            failed = pb.ErrorResourceInitFailed()
            if detail.Unpack(failed):
                partial = InitFailure(
                    failed.id,
                    from_struct(failed.properties),
                    tuple(failed.reasons),
                    from_struct(failed.inputs),
                )
                return ProviderCallError(code, message, partial)
    return ProviderCallError(code, message)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def abort_init_failed(
    context: grpc.ServicerContext, failure: InitFailure, code: str, message: str
) -> NoReturn:
    """For providers: end a call with `ErrorResourceInitFailed`, the way the Pulumi CLI reads it."""
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message)
    status.details.add().Pack(
        pb.ErrorResourceInitFailed(
            id=failure.id,
            properties=to_struct(failure.properties),
            reasons=failure.reasons,
            inputs=to_struct(failure.inputs),
        )
    )
    context.set_trailing_metadata(
        ((ERROR_CODE_METADATA, code), ("grpc-status-details-bin", status.SerializeToString()))
    )
    context.abort(grpc.StatusCode.UNKNOWN, message)
    raise AssertionError("abort returns nothing")
