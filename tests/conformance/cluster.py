"""A client of a Kubernetes API server, as small as these tests need it."""

import contextlib
import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import yaml

READY_SECONDS = 120
APPLY = "application/apply-patch+yaml"


class RefusedError(Exception):
    """The API server did not take an object; the message is its own."""


@dataclass(frozen=True)
class Document:
    """One YAML document as rendered: its text is what the server is sent."""

    text: str
    value: Mapping[str, Any]

    @property
    def name(self) -> str:
        """`Kind namespace/name`."""
        metadata = self.value["metadata"]
        return f"{self.value['kind']} {metadata.get('namespace', '')}/{metadata['name']}"


def documents(text: str) -> Iterator[Document]:
    """The YAML documents of a file; comments alone are none."""
    for part in f"\n{text}".split("\n---"):
        value = yaml.safe_load(part)
        if value is not None:
            yield Document(part, value)


class Cluster:
    """A client of the API server, as a member of `system:masters`."""

    def __init__(self, url: str, token: str, ca_file: Path, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        """For programs that are clients of it too."""
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            verify=ssl.create_default_context(cafile=str(ca_file)),
            timeout=60,
        )
        self._paths: dict[tuple[str, str], tuple[str, bool]] = {}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str) -> Any:
        """The answer to a GET. Raises `RefusedError`."""
        return self._answer(self._http.get(path))

    def ready(self) -> bool:
        """Whether the server serves."""
        with contextlib.suppress(httpx.TransportError):
            return self._http.get("/readyz").status_code == httpx.codes.OK
        return False

    def apply(self, document: Document, *, dry_run: bool = False) -> Any:
        """Server-side apply with strict validation: an unknown or doubled field is refused (`RefusedError`)."""
        query = {"fieldManager": "fleet", "fieldValidation": "Strict", "force": "true"}
        if dry_run:
            query["dryRun"] = "All"
        answer = self._http.patch(
            self.path(document.value),
            params=query,
            content=document.text.encode(),
            headers={"Content-Type": APPLY},
        )
        return self._answer(answer)

    def create(self, value: Mapping[str, Any], *, dry_run: bool = False) -> Any:
        """POST an object. Raises `RefusedError`."""
        collection = self.path(value).rpartition("/")[0]
        query = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
        return self._answer(self._http.post(collection, params=query, json=value))

    def delete(self, value: Mapping[str, Any]) -> None:
        """Delete an object. Raises `RefusedError`."""
        self.delete_at(self.path(value))

    def delete_at(self, path: str) -> None:
        """Delete an object, or all of a collection. Raises `RefusedError`."""
        self._answer(self._http.delete(path))

    def merge(self, path: str, change: Mapping[str, Any]) -> Any:
        """Change fields of an object (JSON merge patch). Raises `RefusedError`."""
        answer = self._http.patch(
            path, content=json.dumps(change), headers={"Content-Type": "application/merge-patch+json"}
        )
        return self._answer(answer)

    def evict(self, pod: Mapping[str, Any]) -> None:
        """Ask for a pod to leave, as a drain does. Raises `RefusedError`: 429 when a budget forbids it."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
        }
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
        self._answer(self._http.post(path, json=body))

    def install(self, definitions: Sequence[Document]) -> None:
        """Apply CustomResourceDefinitions and wait until each is served."""
        for definition in definitions:
            self.apply(definition)
        for definition in definitions:
            path = self.path(definition.value)
            wait_until(partial(self._established, path), f"{definition.name} is not served")
        self._paths.clear()

    def _established(self, path: str) -> bool:
        conditions = self.get(path).get("status", {}).get("conditions") or ()
        return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

    def path(self, value: Mapping[str, Any]) -> str:
        """Where an object lies. Raises `RefusedError` for a kind that the server does not know."""
        api, kind, metadata = value["apiVersion"], value["kind"], value["metadata"]
        root = f"/apis/{api}" if "/" in api else f"/api/{api}"
        if (api, kind) not in self._paths:
            for resource in self.get(root)["resources"]:
                if "/" not in resource["name"]:
                    self._paths[(api, resource["kind"])] = (resource["name"], resource["namespaced"])
        if (api, kind) not in self._paths:
            raise RefusedError(f"the server does not know {api} {kind}")
        plural, namespaced = self._paths[(api, kind)]
        space = f"/namespaces/{metadata['namespace']}" if namespaced else ""
        return f"{root}{space}/{plural}/{metadata['name']}"

    @staticmethod
    def _answer(answer: httpx.Response) -> Any:
        if answer.is_success:
            return answer.json()
        try:
            message = answer.json()["message"]
        except (ValueError, KeyError):
            message = answer.text
        raise RefusedError(f"{answer.status_code}: {message}")


def wait_until(holds: Callable[[], bool], otherwise: str, *, seconds: float = READY_SECONDS) -> None:
    """Ask until it holds. Raises TimeoutError with `otherwise`."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(otherwise)
        time.sleep(0.1)
