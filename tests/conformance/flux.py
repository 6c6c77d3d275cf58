"""Flux's own kustomize-controller, fed by a stand-in for its source-controller.

The stand-in does what source-controller does once it has pulled an artifact: it serves the layer over HTTP and says
so in the status of the OCIRepository, which is all that kustomize-controller reads of it. It pulls from no registry
and verifies no signature.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import yaml

from fleet.model.site import SiteSpec
from fleet.render.artifact import LAYER_TYPE, Artifact
from tests.conformance.binaries import binary
from tests.conformance.cluster import Cluster, Document, RefusedError, wait_until
from tests.conformance.running import free_ports, require_running, started

KUSTOMIZATIONS = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations"
SOURCE = "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/ocirepositories/fleet"
ENTRY = "fleet-site"
"""As Arc names it: the Flux configuration `fleet`, its kustomization `site` (stacks/arc_platform.py)."""


class Flux:
    """Delivers a site's artifacts to a cluster. Objects that it needs itself are applied by `publish`."""

    def __init__(self, cluster: Cluster, folder: Path, url: str) -> None:
        self._cluster, self._folder, self._url = cluster, folder, url

    def publish(self, artifact: Artifact) -> None:
        """Make this the artifact that the source `fleet` has."""
        layer = next(blob for blob in artifact.blobs.values() if blob.startswith(b"\x1f\x8b"))
        digest = next(name for name, blob in artifact.blobs.items() if blob is layer)
        name = f"{digest.removeprefix('sha256:')}.tar.gz"
        (self._folder / name).write_bytes(layer)
        source = {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "OCIRepository",
            "metadata": {"name": "fleet", "namespace": "flux-system"},
            "spec": {
                "interval": "5m",
                "url": "oci://registry.example/fleet",
                "ref": {"digest": artifact.digest},
                "layerSelector": {"mediaType": LAYER_TYPE, "operation": "extract"},
            },
        }
        self._apply(source)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        generation = self._cluster.get(SOURCE)["metadata"]["generation"]
        ready = {
            "type": "Ready", "status": "True", "reason": "Succeeded", "message": "stand-in",
            "lastTransitionTime": now, "observedGeneration": generation,
        }  # fmt: skip
        status = {
            "observedGeneration": generation,
            "artifact": {
                "url": f"{self._url}/{name}", "path": name, "digest": digest, "size": len(layer),
                "revision": artifact.digest, "lastUpdateTime": now,
            },
            "conditions": [ready],
        }  # fmt: skip
        self._cluster.merge(f"{SOURCE}/status", {"status": status})

    def deliver(self, spec: SiteSpec) -> None:
        """The entry point, as the site's Flux configuration in Azure makes it."""
        self._apply(
            {
                "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
                "kind": "Kustomization",
                "metadata": {"name": ENTRY, "namespace": "flux-system"},
                "spec": {
                    "interval": "5m",
                    "path": f"./clusters/{spec.name}",
                    "prune": True,
                    "wait": True,
                    "timeout": "3m",
                    "retryInterval": "2s",
                    "sourceRef": {"kind": "OCIRepository", "name": "fleet"},
                },
            }
        )

    def withdraw(self) -> None:
        """Take the entry point away: with pruning, all that it brought goes too, but what Flux runs in."""
        self._cluster.delete_at(f"{KUSTOMIZATIONS}/{ENTRY}")
        wait_until(lambda: not self.conditions(), "the Kustomizations did not go")

    def conditions(self) -> Mapping[str, tuple[str, str, str]]:
        """Of each Kustomization: status of its condition Ready, the revision applied last, the message."""
        return {item["metadata"]["name"]: _ready(item) for item in self._cluster.get(KUSTOMIZATIONS)["items"]}

    def wait_applied(self, revision: str, *, seconds: float = 120) -> None:
        """Until every Kustomization is ready at this revision. Raises TimeoutError with their messages."""

        def applied() -> bool:
            found = self.conditions()
            return len(found) > 1 and all(
                status == "True" and at == revision for status, at, _ in found.values()
            )

        try:
            wait_until(applied, "", seconds=seconds)
        except TimeoutError:
            raise TimeoutError(f"not all applied: {self.conditions()}") from None

    def _apply(self, value: Mapping[str, Any]) -> None:
        self._cluster.apply(Document(yaml.safe_dump(dict(value)), value))


def _ready(item: Mapping[str, Any]) -> tuple[str, str, str]:
    status = item.get("status", {})
    found = [each for each in status.get("conditions", ()) if each["type"] == "Ready"]
    condition = found[0] if found else {"status": "Unknown", "message": ""}
    return condition["status"], status.get("lastAppliedRevision", ""), condition["message"]


@contextlib.contextmanager
def running_flux(cluster: Cluster, folder: Path) -> Iterator[Flux]:
    """The controller and the stand-in, until the block ends; the CRDs of Flux must be there."""
    served = folder / "artifacts"
    served.mkdir()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(served)))
        )
        Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        metrics, health = free_ports(2)
        with contextlib.suppress(RefusedError):  # it may be there
            cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}})
        environment = {
            **{key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "TMPDIR")},
            "KUBECONFIG": str(cluster.kubeconfig),
            "RUNTIME_NAMESPACE": "flux-system",
            "NO_PROXY": "127.0.0.1",
        }
        arguments = [
            f"--metrics-addr=127.0.0.1:{metrics}", f"--health-addr=127.0.0.1:{health}", "--events-addr=",
            "--enable-leader-election=false", "--no-remote-bases", "--requeue-dependency=1s",
            "--log-level=info",
        ]  # fmt: skip
        name = "kustomize-controller"
        processes = started(stack, {name: binary(name)}, {name: arguments}, folder, environment)
        stack.callback(lambda: require_running(processes, folder))
        yield Flux(cluster, served, f"http://127.0.0.1:{server.server_address[1]}")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's name
        """Say nothing."""
