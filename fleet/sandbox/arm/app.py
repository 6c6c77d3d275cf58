"""The stand-in over HTTP: authentication, headers, recording; everything else is `ArmService`."""

import hmac
import json
import uuid
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from fleet.sandbox.arm.errors import ArmAnswerError
from fleet.sandbox.arm.ids import split_path
from fleet.sandbox.arm.messages import MAX_BODY, ArmRequest, ArmResponse
from fleet.sandbox.arm.recorder import Exchange, Recorder, redacted, redacted_query
from fleet.sandbox.arm.service import ArmService, DroppedConnection, about, type_of

METHODS = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"]


class _Broken(Response):
    """An answer that promises more bytes than it sends: the server closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the start of an answer, and no more."""
        headers = [(b"content-length", b"1000"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


def build_app(service: ArmService, token: str, recorder: Recorder, clock: Callable[[], float]) -> Starlette:
    """The ASGI application. `token` is what callers must bear."""

    async def answer(request: Request) -> Response:
        request_id = str(uuid.uuid4())
        headers = {
            "x-ms-request-id": request_id,
            "x-ms-correlation-request-id": _echoed(request) or request_id,
            "x-fleet-sandbox": "stand-in",
            "Cache-Control": "no-cache",
        }
        path = request.scope.get("raw_path", b"/").decode("ascii", "replace")
        if path.strip("/") == "" and request.method in ("GET", "HEAD"):
            return _response(ArmResponse(200, about(service.site.endpoint)), headers)
        query = {name.lower(): value for name, value in request.query_params.items()}
        refused = _refusal(request, token, service.site.endpoint)
        try:
            body = b"" if refused else await _read(request)
        except ClientDisconnect:
            return Response(status_code=400)
        conditions = {n: request.headers[n] for n in ("if-match", "if-none-match") if n in request.headers}
        asked = ArmRequest(request.method, path, query, body, conditions)
        try:
            given = await run_in_threadpool(service.handle, asked) if refused is None else refused
        except DroppedConnection as dropped:
            unseen = dropped.answer or ArmResponse(0, "connection dropped")
            _record(recorder, service, clock(), asked, unseen, request_id, lost=True)
            return _Broken()
        _record(recorder, service, clock(), asked, given, request_id)
        return _response(given, headers)

    return Starlette(routes=[Route("/{path:path}", answer, methods=METHODS)])


def _echoed(request: Request) -> str | None:
    """The caller's correlation id where it is a GUID: nothing else goes back into a header."""
    try:
        return str(uuid.UUID(request.headers.get("x-ms-correlation-request-id", "")))
    except ValueError:
        return None


def _refusal(request: Request, token: str, endpoint: str) -> ArmResponse | None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return None
    missing = "authorization" not in request.headers
    reason = "header is missing" if missing else "header does not bear this sandbox's token"
    problem = ArmAnswerError(
        401, "AuthenticationFailed", f"Authentication failed. The 'Authorization' {reason}."
    )
    challenge = f'Bearer authorization_uri="{endpoint}/", error="invalid_token"'
    return ArmResponse(401, problem.body(), {"WWW-Authenticate": challenge})


async def _read(request: Request) -> bytes:
    """The body, read no further than just past the limit (the service answers 413 to that)."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            break
    return bytes(body)


def _response(given: ArmResponse, headers: dict[str, str]) -> Response:
    content = b"" if given.body is None else json.dumps(given.body, separators=(",", ":")).encode()
    media = "application/json" if given.body is not None else None
    return Response(content, given.status, {**headers, **given.headers}, media_type=media)


def _record(
    recorder: Recorder,
    service: ArmService,
    moment: float,
    asked: ArmRequest,
    given: ArmResponse,
    request_id: str,
    *,
    lost: bool = False,
) -> None:
    try:
        resource_type = type_of(split_path(asked.path)) or ""
    except ArmAnswerError:
        resource_type = ""
    kind = service.world.table.types.get(resource_type.lower())
    write_only = kind.write_only if kind else ()
    try:
        sent = redacted(json.loads(asked.body), write_only) if asked.body else None
    except (ValueError, RecursionError):
        sent = f"[{len(asked.body)} bytes that are not JSON]"
    answered = redacted(given.body, (*write_only, "keys[].value"))
    recorder.add(
        Exchange(
            time=moment,
            method=asked.method,
            path=asked.path,
            query=redacted_query(asked.query),
            request=sent,
            status=given.status,
            response=answered,
            request_id=request_id,
            lost=lost,
        )
    )
