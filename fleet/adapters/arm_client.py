"""A client of Azure Resource Manager: verified TLS, retries, and long-running operations to their end.

Rules followed: ARM's asynchronous operations (Azure-AsyncOperation first, then Location, then
`properties.provisioningState`; Retry-After is honoured) and its throttling (429 with Retry-After).
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from fleet.adapters.arm_answers import (
    ENDED_BADLY,
    ENDED_WELL,
    is_pending,
    json_items,
    json_object,
    provisioning_state,
    retry_after,
)
from fleet.adapters.arm_errors import (
    ArmError,
    error_body,
    failure,
    is_certificate_problem,
    no_answer,
    tls_context,
)

__all__ = ["OPERATION_TIMEOUT", "ArmClient", "ArmError", "JsonObject", "RetryPolicy"]

JsonObject = dict[str, Any]

OPERATION_TIMEOUT = 2 * 3600.0
"""Seconds a long-running operation may take by default (azure-local-facts §1.9: two hours for AKS Arc).
A cluster's deployment takes longer: callers give their own."""

_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_SAFE_FOR_POST = frozenset({429, 503})  # answers that say: the action was not begun
_BUSY = "AnotherOperationInProgress"
_MAX_PAGES = 10_000
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request is repeated, and how long between: doubling from `base` to `cap` seconds.

    A throttled request (429) that says when to come back is no attempt: it is waited for, up to
    `longest_wait` seconds in all. A longer Retry-After ends the request. `longest_silence` is how many
    seconds a long-running operation may go without any answer, e.g. while the network is down.
    """

    attempts: int = 6
    base: float = 0.5
    cap: float = 30.0
    longest_wait: float = 300.0
    longest_silence: float = 900.0


class ArmClient:
    """Talks to one ARM endpoint. Safe to share between threads; close it, or use it with `with`.

    `endpoint` must be https; `token_provider` is asked before each request (it caches and renews);
    `ca_file` is the CA to trust instead of the system's. Paths are resource ids; `api_version` is
    always explicit. Everything raises `ArmError`.
    """

    def __init__(
        self,
        endpoint: str,
        token_provider: Callable[[], str],
        ca_file: Path | None = None,
        *,
        retry: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        request_timeout: float = 60.0,
        poll_floor: float = 0.02,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme != "https" or not parts.hostname:
            raise ArmError(
                0, "InsecureEndpoint", f"the Azure endpoint must be an https URL, not '{endpoint[:80]}'"
            )
        self._endpoint = endpoint.rstrip("/")
        self._host, self._port = parts.hostname, parts.port or 443
        self._token = token_provider
        # What stops to answer on this machine's loopback has ended: no network comes back.
        quiet = RetryPolicy(longest_silence=0.0) if parts.hostname in _LOOPBACK else RetryPolicy()
        self._retry = retry or quiet
        self._sleep, self._clock, self._jitter = sleep, clock, jitter
        self._poll_floor = poll_floor
        self._http = httpx.Client(
            verify=tls_context(ca_file),
            timeout=request_timeout,
            follow_redirects=False,
            transport=transport,
            # A proxy from the environment cannot reach this machine's loopback, where a sandbox is.
            trust_env=parts.hostname not in _LOOPBACK,
        )

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, api_version: str) -> JsonObject:
        """The resource at `path`. A missing one is an `ArmError` with status 404."""
        return json_object(self._send("GET", self._url(path), api_version))

    def find(self, path: str, api_version: str) -> JsonObject | None:
        """The resource at `path`, or None where Azure says that it, or what it lives in, does not exist.

        Any other 404, e.g. of a subscription that the identity cannot see, is an `ArmError`.
        """
        try:
            return self.get(path, api_version)
        except ArmError as error:
            if error.means_gone:
                return None
            raise

    def list(
        self, path: str, api_version: str, query: Mapping[str, str] | None = None
    ) -> Iterator[JsonObject]:
        """The items of a collection, page after page as they are consumed; not looked at, they may be any."""
        page = self._send("GET", self._url(path), api_version, query=query)
        for _ in range(_MAX_PAGES):
            yield from json_items(page)
            following = json_object(page).get("nextLink")
            if not following:
                return
            page = self._send("GET", self._same_host(str(following)), None)
        raise ArmError(0, "TooManyPages", f"the list at {path} does not end")

    def put(
        self, path: str, api_version: str, body: JsonObject, *, timeout: float = OPERATION_TIMEOUT
    ) -> JsonObject:
        """Create or replace a resource, wait until that is done, and return the resource.

        `timeout` is in seconds. Raises `ArmError` where it fails or does not end in time; the
        operation itself goes on in Azure, and the same call later takes it up again.
        """
        return self._change("PUT", path, api_version, body, timeout)

    def patch(
        self, path: str, api_version: str, body: JsonObject, *, timeout: float = OPERATION_TIMEOUT
    ) -> JsonObject:
        """Merge into a resource; otherwise as `put`."""
        return self._change("PATCH", path, api_version, body, timeout)

    def delete(self, path: str, api_version: str, *, timeout: float = OPERATION_TIMEOUT) -> None:
        """Delete a resource and wait until it is gone; one that does not exist is no error."""
        deadline = self._clock() + timeout
        url = self._url(path)
        try:
            answer = self._begin("DELETE", url, api_version, None, deadline)
        except ArmError as error:
            if error.means_gone:
                return
            raise
        with _accepted():
            self._wait(answer, url, api_version, deadline)

    def post(
        self,
        path: str,
        api_version: str,
        body: JsonObject | None = None,
        *,
        timeout: float = OPERATION_TIMEOUT,
    ) -> JsonObject:
        """Run an action and return its answer ({} for none), waiting where it is a long one."""
        deadline = self._clock() + timeout
        answer = self._begin("POST", self._url(path), api_version, body, deadline)
        with _accepted():
            result = self._wait(answer, None, api_version, deadline)
        return json_object(result) if result is not None else {}

    def _change(
        self, method: str, path: str, api_version: str, body: JsonObject, timeout: float
    ) -> JsonObject:
        deadline = self._clock() + timeout
        url = self._url(path)
        answer = self._begin(method, url, api_version, body, deadline)
        with _accepted():
            last = self._wait(answer, url, api_version, deadline)
            if last is not answer or not answer.content:
                last = self._look(url, api_version, deadline)
            if provisioning_state(last) in ENDED_BADLY:
                raise failure(
                    200, json_object(last), last, f"provisioningState is {provisioning_state(last)}"
                )
            return json_object(last)

    def _begin(
        self, method: str, url: str, api_version: str, body: JsonObject | None, deadline: float
    ) -> httpx.Response:
        """Send a change; where Azure is still busy with an earlier one (an interrupted run's), wait."""
        turn = 0
        while True:
            try:
                return self._send(method, url, api_version, body=body)
            except ArmError as error:
                if error.code != _BUSY or self._clock() >= deadline:
                    raise
            self._sleep(self._backoff(turn))
            turn += 1

    def _wait(
        self, answer: httpx.Response, resource: str | None, api_version: str, deadline: float
    ) -> httpx.Response | None:
        """Follow an operation to its end; the last answer with a result in it, or None."""
        status_url = answer.headers.get("Azure-AsyncOperation")
        location = answer.headers.get("Location")
        if status_url:
            last = self._follow_status(self._same_host(status_url), answer, deadline)
            if resource is None and location:
                return self._look(self._same_host(location), None, deadline)
            return last
        if location and answer.status_code in (201, 202):
            return self._follow_location(self._same_host(location), answer, deadline)
        if resource is not None and answer.request.method != "DELETE" and is_pending(answer):
            return self._follow_state(resource, api_version, answer, deadline)
        return answer if answer.content else None

    def _follow_status(self, url: str, answer: httpx.Response, deadline: float) -> httpx.Response:
        while True:
            self._pause(answer, deadline, url)
            answer = self._look(url, None, deadline)
            body = json_object(answer)
            status = str(body.get("status", "")).lower()
            if status == ENDED_WELL:
                return answer
            if status in ENDED_BADLY:
                raise failure(200, body, answer, f"the operation ended as {body.get('status')}")

    def _follow_location(self, url: str, answer: httpx.Response, deadline: float) -> httpx.Response:
        while True:
            self._pause(answer, deadline, url)
            answer = self._look(url, None, deadline)
            if answer.status_code != 202:
                return answer
            if "Location" in answer.headers:
                url = self._same_host(answer.headers["Location"])

    def _follow_state(
        self, url: str, api_version: str, answer: httpx.Response, deadline: float
    ) -> httpx.Response:
        while is_pending(answer):
            self._pause(answer, deadline, url)
            answer = self._look(url, api_version, deadline)
        return answer

    def _look(self, url: str, api_version: str | None, deadline: float) -> httpx.Response:
        """Ask about an operation under way. It does not depend on us: an outage is waited out."""
        started, turn = self._clock(), 0
        while True:
            try:
                return self._send("GET", url, api_version)
            except ArmError as error:
                now = self._clock()
                silent = now - started >= self._retry.longest_silence
                if not error.may_pass or silent or now >= deadline:
                    raise
            self._sleep(min(self._backoff(turn), deadline - now))
            turn += 1

    def _pause(self, answer: httpx.Response, deadline: float, url: str) -> None:
        left = deadline - self._clock()
        if left <= 0:
            raise ArmError(
                0,
                "OperationTimeout",
                f"the operation did not end in time; it goes on in Azure, see {urlsplit(url).path}",
                answer.headers.get("x-ms-request-id"),
            )
        asked = retry_after(answer)
        # Without a Retry-After, ARM's guidance is to poll about every ten seconds.
        wait = 10.0 if asked is None else max(asked, self._poll_floor)
        self._sleep(min(wait, left))

    def _send(
        self,
        method: str,
        url: str,
        api_version: str | None,
        *,
        body: JsonObject | None = None,
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request, repeated while that can help; a 2xx answer or an `ArmError`."""
        parameters = {**(query or {}), **({"api-version": api_version} if api_version else {})}
        attempt, waited, in_doubt = 0, 0.0, False
        while True:
            last = attempt >= self._retry.attempts - 1
            try:
                answer = self._http.request(
                    method,
                    httpx.URL(url).copy_merge_params(parameters),
                    json=body,
                    headers={"Authorization": f"Bearer {self._token()}", "Accept": "application/json"},
                )
            except httpx.InvalidURL as error:
                raise ArmError(0, "InvalidPath", f"not a resource path: {error}") from None
            except httpx.HTTPError as error:
                begun = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
                in_doubt = in_doubt or (begun and method != "GET")
                if last or is_certificate_problem(error) or (method == "POST" and begun):
                    problem = no_answer(error, self._endpoint)
                    problem.in_doubt = in_doubt
                    raise problem from None
                self._sleep(self._backoff(attempt))
                attempt += 1
                continue
            if answer.is_success:
                return answer
            asked = retry_after(answer)
            if answer.status_code == 429 and asked:
                if waited + asked > self._retry.longest_wait:
                    also = f"gave up after waiting {waited:.0f} s in all; Azure asks for {asked:.0f} s more"
                    raise failure(429, error_body(answer), answer, f"{method} was refused", also)
                # From the second time on with a part of a second at random: many clients were told the same.
                wait = asked + (self._jitter() * min(asked, 1.0) if waited else 0.0)
                self._sleep(wait)
                waited += wait
                continue
            retried = _SAFE_FOR_POST if method == "POST" else _RETRIED
            if last or answer.status_code not in retried or (asked or 0) > self._retry.longest_wait:
                raise failure(answer.status_code, error_body(answer), answer, f"{method} was refused")
            self._sleep(self._backoff(attempt) if asked is None else asked)
            attempt += 1

    def _backoff(self, attempt: int) -> float:
        # Half of it is random, so that many clients that failed together do not return together.
        ceiling: float = min(self._retry.cap, self._retry.base * 2.0**attempt)
        return ceiling * (0.5 + self._jitter() / 2)

    def _url(self, path: str) -> str:
        return f"{self._endpoint}/{path.lstrip('/')}"

    def _same_host(self, url: str) -> str:
        """The URL, if it is at our endpoint: the token is never sent to a host that an answer names."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or 443
        except ValueError:
            raise ArmError(
                0, "ForeignLink", "Azure's answer has a link that is no URL; not followed"
            ) from None
        known = host == self._host or host.endswith(f".{self._host}")
        if parts.scheme != "https" or not known or port != self._port:
            raise ArmError(0, "ForeignLink", f"Azure's answer links to another host, '{host}'; not followed")
        return url


@contextmanager
def _accepted() -> Iterator[None]:
    """Around what follows a change that Azure took on: its errors say so."""
    try:
        yield
    except ArmError as error:
        error.accepted = True
        raise
