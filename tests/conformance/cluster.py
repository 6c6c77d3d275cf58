"""A real Kubernetes API server on loopback: kube-apiserver and etcd, without nodes."""

import contextlib
import secrets
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fleet.sandbox.tls import ensure_server_tls, write_private
from tests.conformance.binaries import binary

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

    def __init__(self, url: str, token: str, ca_file: Path) -> None:
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
            self._path(document.value),
            params=query,
            content=document.text.encode(),
            headers={"Content-Type": APPLY},
        )
        return self._answer(answer)

    def create(self, value: Mapping[str, Any], *, dry_run: bool = False) -> Any:
        """POST an object. Raises `RefusedError`."""
        collection = self._path(value).rpartition("/")[0]
        query = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
        return self._answer(self._http.post(collection, params=query, json=value))

    def delete(self, value: Mapping[str, Any]) -> None:
        """Delete an object. Raises `RefusedError`."""
        self._answer(self._http.delete(self._path(value)))

    def install(self, definitions: Sequence[Document]) -> None:
        """Apply CustomResourceDefinitions and wait until each is served."""
        for definition in definitions:
            self.apply(definition)
        for definition in definitions:
            path = self._path(definition.value)
            wait_until(lambda path=path: _established(self.get(path)), f"{definition.name} is not served")
        self._paths.clear()

    def _path(self, value: Mapping[str, Any]) -> str:
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


def _established(definition: Mapping[str, Any]) -> bool:
    conditions = definition.get("status", {}).get("conditions", ())
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def wait_until(holds: Any, otherwise: str) -> None:
    """Ask until it holds. Raises TimeoutError with `otherwise`."""
    end = time.monotonic() + READY_SECONDS
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(otherwise)
        time.sleep(0.1)


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """An API server with an empty etcd, its files below `folder`, until the block ends."""
    programs = {name: binary(name) for name in ("etcd", "kube-apiserver")}
    etcd_port, peer_port, port = _free_ports(3)
    tls = ensure_server_tls(folder / "tls")
    token = secrets.token_urlsafe(32)
    write_private(folder / "tokens.csv", f"{token},fleet,fleet,system:masters\n".encode())
    write_private(folder / "service-accounts.key", _private_key())
    with contextlib.ExitStack() as stack:
        etcd_url = f"http://127.0.0.1:{etcd_port}"
        etcd_log = stack.enter_context((folder / "etcd.log").open("wb"))
        api_log = stack.enter_context((folder / "kube-apiserver.log").open("wb"))
        commands = (
            ([
                programs["etcd"], "--data-dir", folder / "etcd", "--unsafe-no-fsync",
                "--listen-client-urls", etcd_url, "--advertise-client-urls", etcd_url,
                "--listen-peer-urls", f"http://127.0.0.1:{peer_port}",
            ], etcd_log),
            ([
                programs["kube-apiserver"], f"--etcd-servers={etcd_url}",
                "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={port}",
                "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/12",
                f"--tls-cert-file={tls.cert_file}", f"--tls-private-key-file={tls.key_file}",
                f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC",
                "--anonymous-auth=false",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={folder / 'service-accounts.key'}",
                f"--service-account-signing-key-file={folder / 'service-accounts.key'}",
            ], api_log),
        )  # fmt: skip
        processes = []
        for command, log in commands:
            process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
            processes.append(process)
            stack.callback(_stop, process)
        cluster = Cluster(f"https://127.0.0.1:{port}", token, tls.ca_file)
        stack.callback(cluster.close)

        def up() -> bool:
            if any(process.poll() is not None for process in processes):
                raise RuntimeError((folder / "kube-apiserver.log").read_text()[-2000:])
            return cluster.ready()

        wait_until(up, "the API server did not become ready")
        yield cluster


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _private_key() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    plain = serialization.NoEncryption()
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain
    )
