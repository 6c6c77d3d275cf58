"""A small client of a Kubernetes API server: discovery, server-side apply, and deletes that end."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from fleet.sandbox.kubernetes_config import ClusterAccess, tls_context
from fleet.sandbox.kubernetes_objects import Kind

TIMEOUT_S: Final = 600.0
"""How long a delete is waited for when the resource says nothing else: Pulumi's ten minutes."""
_REQUEST_TIMEOUT_S: Final = 60
_ATTEMPTS: Final = 3
KIND_NOT_SERVED: Final = "KindNotServed"
_BUSY: Final = frozenset({429, 503})
_HINTS: Final = {
    401: "the cluster does not accept the kubeconfig's credential; fetch the kubeconfig again",
    403: "the kubeconfig's identity may not do this: give it the role, or use another kubeconfig",
}


class KubernetesError(Exception):
    """An answer of the API server that is an error, or none at all. `status` is 0 where none came.

    `reason` is the API server's word (`Conflict`, `Forbidden`, `Invalid`, `NotFound`), or our own.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        hint = f"; {_HINTS[status]}" if status in _HINTS else ""
        super().__init__(f"{message}{hint}")
        self.status, self.reason = status, reason

    @property
    def means_gone(self) -> bool:
        """Whether Kubernetes said so; a 404 of a proxy in between says nothing about an object."""
        return self.reason in ("NotFound", KIND_NOT_SERVED)


class KubernetesClient:
    """One API server, as one identity. Safe to use from several threads.

    `transport` stands in for the network in tests; `sleep` and `clock` are in seconds. Every method raises
    `KubernetesError`; the constructor raises `KubeconfigError`.
    """

    def __init__(
        self,
        access: ClusterAccess,
        transport: httpx.BaseTransport | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.access = access
        self._sleep, self._clock = sleep, clock
        self._extensions = {"sni_hostname": access.server_name} if access.server_name else {}
        self._http = httpx.Client(
            base_url=access.server,
            headers={"Authorization": f"Bearer {access.token}"} if access.token else {},
            verify=tls_context(access),
            timeout=_REQUEST_TIMEOUT_S,
            transport=transport,
            trust_env=False,  # no proxy, and no credential of a .netrc
        )
        self._plurals: dict[Kind, tuple[str, bool]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def namespaced(self, kind: Kind) -> bool:
        """Whether objects of a kind live in namespaces, by discovery."""
        return self._resource(kind)[1]

    def find(self, kind: Kind, namespace: str | None, name: str) -> dict[str, Any] | None:
        """An object, or None. A kind that the cluster does not serve has no objects."""
        try:
            return self._ask("GET", self._path(kind, namespace, name))
        except KubernetesError as error:
            if error.means_gone:
                return None
            raise

    def apply(
        self,
        kind: Kind,
        namespace: str | None,
        body: Mapping[str, Any],
        manager: str,
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Apply an object server-side, with strict validation: an unknown field is refused.

        A definition of new kinds is waited for until the server serves them. With `dry_run` nothing is
        changed: the answer is what the object would be.
        """
        name = body["metadata"]["name"]
        path = self._path(kind, namespace, name)
        query = {"fieldManager": manager, "fieldValidation": "Strict", "force": str(force).lower()}
        live = self._ask(
            "PATCH",
            path,
            params=query | ({"dryRun": "All"} if dry_run else {}),
            content=json.dumps(body).encode(),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        if kind.kind == "CustomResourceDefinition" and not dry_run:
            live = self._until(
                lambda: _established(self._ask("GET", path)), TIMEOUT_S, f"{name} is not served"
            )
        return live

    def delete(self, kind: Kind, namespace: str | None, name: str, timeout: float = TIMEOUT_S) -> None:
        """Delete an object and what it owns, and wait until it is gone, at most `timeout` seconds."""
        try:
            path = self._path(kind, namespace, name)
            self._ask("DELETE", path, params={"propagationPolicy": "Foreground"})
        except KubernetesError as error:
            if error.means_gone:
                return
            raise
        self.wait_gone(kind, namespace, name, timeout)

    def wait_gone(self, kind: Kind, namespace: str | None, name: str, timeout: float) -> None:
        """Wait until an object that is being deleted is gone; what holds it up is in the error."""
        end = self._clock() + timeout
        while (live := self.find(kind, namespace, name)) is not None:
            if not live["metadata"].get("deletionTimestamp"):
                return  # another one of the same name: ours is gone
            if self._clock() > end:
                holding = [
                    *live["metadata"].get("finalizers", ()),
                    *live.get("spec", {}).get("finalizers", ()),  # a namespace's
                    *(
                        condition["message"]
                        for condition in live.get("status", {}).get("conditions", ())
                        if kind.kind == "Namespace" and condition.get("status") == "True"
                    ),
                ]
                raise KubernetesError(
                    0,
                    "DeleteTimeout",
                    f"{kind.kind} {name} is not gone after {timeout:.0f} s; it waits for: "
                    f"{', '.join(holding) or 'the controllers of the cluster'}",
                )
            self._sleep(0.25)

    def _until(
        self, look: Callable[[], dict[str, Any] | None], timeout: float, otherwise: str
    ) -> dict[str, Any]:
        end = self._clock() + timeout
        while (found := look()) is None:
            if self._clock() > end:
                raise KubernetesError(0, "Timeout", f"{otherwise} after {timeout:.0f} s")
            self._sleep(0.25)
        return found

    def _path(self, kind: Kind, namespace: str | None, name: str) -> str:
        plural, namespaced = self._resource(kind)
        place = f"/namespaces/{namespace or self.access.namespace}" if namespaced else ""
        return f"{_root(kind)}{place}/{plural}/{name}"

    def _resource(self, kind: Kind) -> tuple[str, bool]:
        """The plural of a kind and whether it is namespaced. What is not served yet is asked for again."""
        with self._lock:
            if kind in self._plurals:
                return self._plurals[kind]
        unknown = KubernetesError(
            404,
            KIND_NOT_SERVED,
            f"the cluster does not serve {kind.api_version} {kind.kind}; "
            "what defines it (a CustomResourceDefinition, often a chart's) must be there first",
        )
        try:
            rows = self._ask("GET", _root(kind)).get("resources", ())
        except KubernetesError as error:
            # A group that is not served is a 404 in plain text: only with the list of groups is it an answer.
            if error.status == 404 and self._ask("GET", "/apis").get("kind") == "APIGroupList":
                raise unknown from None
            raise
        with self._lock:
            for row in rows:
                if "/" not in row["name"]:
                    key = Kind(kind.group, kind.version, row["kind"])
                    self._plurals[key] = (row["name"], bool(row["namespaced"]))
            if kind not in self._plurals:
                raise unknown
            return self._plurals[kind]

    def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = self._http.request(method, path, extensions=self._extensions, **request)
            except httpx.HTTPError as error:
                raise KubernetesError(
                    0,
                    "Unreachable",
                    f"{self.access.server} gives no answer: {str(error) or type(error).__name__}",
                ) from error
            if answer.status_code not in _BUSY or attempt == _ATTEMPTS:
                return _value(answer)
            self._sleep(_retry_after(answer))


def _root(kind: Kind) -> str:
    return f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"


def _retry_after(answer: httpx.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), 30.0) if text.isdecimal() else 1.0


def _established(live: dict[str, Any]) -> dict[str, Any] | None:
    conditions = live.get("status", {}).get("conditions") or ()  # null until the server has looked at it
    served = any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)
    return live if served else None


def _value(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError:
        value = None
    if answer.is_success and isinstance(value, dict):
        return value
    if not isinstance(value, dict) or value.get("kind") != "Status":
        # A proxy, or another server altogether; its page may be long.
        raise KubernetesError(
            answer.status_code or 0,
            "NotKubernetes",
            f"HTTP {answer.status_code}, and not from a Kubernetes API",
        )
    reason = value.get("reason") or f"Http{answer.status_code}"
    raise KubernetesError(answer.status_code, reason, value.get("message") or reason)
