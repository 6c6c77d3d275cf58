"""What Azure Resource Manager's errors mean: read from its answers, and from answers that never came."""

import ssl
from pathlib import Path
from typing import Any, Final

import httpx

from fleet.diagnostics.diagnostic import FleetError

_EXIT_CREDENTIAL: Final = 11
_HINTS: Final = {
    401: "the credential was not accepted: sign in again, or look at which tenant it belongs to",
    403: "the identity lacks a role at this scope; a new role assignment can take minutes to count",
    429: "Azure limits the rate of requests: run with less parallelism, or again later",
}
_TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})
_GONE: Final = frozenset(
    {
        "ResourceNotFound",
        "ResourceGroupNotFound",
        "ParentResourceNotFound",
        "RoleAssignmentNotFound",  # Microsoft.Authorization's own; known from use, not from the fact sheets
        "NotFound",
    }
)
"""The codes of a 404 that say: this resource, or what it lives in, does not exist. Any other 404 (of a
subscription, a type, an API version, a proxy in between) says nothing about the resource."""


class ArmError(FleetError):
    """An answer from Azure that is an error, or none at all.

    `status` is the HTTP status; 200 where an accepted operation ended in failure, 0 where no answer
    came (connection, certificate, timeout). `code` is ARM's own; `request_id` is for Microsoft support.
    `accepted` says that Azure had taken the change on before this went wrong: what was sent may count.
    `in_doubt` says that the connection broke under a change: nobody knows whether Azure took it on.
    """

    def __init__(
        self, status: int, code: str, message: str, request_id: str | None = None, *, accepted: bool = False
    ) -> None:
        where = ", ".join(filter(None, [f"HTTP {status}" if status else "", code]))
        support = f"; request id {request_id}" if request_id else ""
        super().__init__(
            code,
            f"{message.rstrip('.')} ({where}{support})",
            _HINTS.get(status, ""),
            _EXIT_CREDENTIAL if status == 401 else 1,
        )
        self.status = status
        self.request_id = request_id
        self.accepted = accepted
        self.in_doubt = False

    @property
    def means_gone(self) -> bool:
        """Whether Azure said that the resource does not exist, and not that it cannot be looked for."""
        return self.status == 404 and self.code in _GONE

    @property
    def may_pass(self) -> bool:
        """Whether the same request can succeed later: no answer came, or one that says so."""
        return self.code == "ConnectionFailed" or self.status in _TRANSIENT


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """A context that verifies, with `ca_file` instead of the system's CAs. Raises `ArmError`."""
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ArmError(0, "CaFileUnusable", f"the CA file '{ca_file}' cannot be used: {error}") from None


def is_certificate_problem(error: httpx.HTTPError) -> bool:
    """Whether a connection failed because the other end's certificate cannot be verified."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def no_answer(error: httpx.HTTPError, endpoint: str) -> ArmError:
    """The error for a request that got no answer."""
    if is_certificate_problem(error):
        message = (
            f"the certificate of {endpoint} cannot be verified; give the CA file of its issuer ({error})"
        )
        return ArmError(0, "CertificateNotTrusted", message)
    return ArmError(0, "ConnectionFailed", f"no answer from {endpoint}: {str(error) or type(error).__name__}")


def error_body(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer; {} where it has none."""
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def failure(
    status: int, body: dict[str, Any], answer: httpx.Response, otherwise: str, also: str = ""
) -> ArmError:
    """The error in an ARM body: its message and those of its details, and what there is to say `also`."""
    error = body.get("error")
    error = error if isinstance(error, dict) else {}
    messages = [str(error.get("message") or otherwise)]
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and detail.get("message"):
            messages.append(str(detail["message"]))
    if also:
        messages.append(also)
    path = answer.request.url.path
    return ArmError(
        status,
        str(error.get("code") or "Unknown"),
        f"{' / '.join(messages)} [{answer.request.method} {path}]",
        answer.headers.get("x-ms-request-id"),
    )
