"""`fleet up` and `fleet plan` of a site whose kubeconfig the inventory refers to: what of its cluster is declared.

Azure is the sandbox; the cluster is a stand-in for an API server that applies and finds objects, in process.
"""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest

from fleet.adapters.inventory_files import read_inventory
from fleet.cli import exits, wiring
from fleet.cli.main import main
from fleet.cli.sandbox_commands import running_sandbox
from fleet.cli.wiring import Workspace
from fleet.sandbox import kubernetes_provider
from fleet.sandbox.kubernetes_client import KubernetesClient
from fleet.sandbox.kubernetes_config import ClusterAccess
from tests.factory import FACTORY

ACCOUNTS = {"FLEET_LOCAL_ADMIN": "administrator:Correct-Horse-1", "FLEET_LCM_USER": "lcm:Battery-Staple-2"}
TOKEN = "not-to-be-seen"
KINDS = {
    "/api/v1": [("namespaces", "Namespace", False)],
    "/apis/source.toolkit.fluxcd.io/v1": [("ocirepositories", "OCIRepository", True)],
    "/apis/kustomize.toolkit.fluxcd.io/v1": [("kustomizations", "Kustomization", True)],
}
SOURCE = "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/ocirepositories/fleet"


def kubeconfig(token: str = TOKEN, server: str = "https://narvik.example:6443") -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": token}}],
        }
    )


@dataclass
class ApiServer:
    """Discovery, server-side apply and get. It is asked in the name of `tokens`."""

    objects: dict[str, dict[str, object]] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.tokens.add(request.headers["Authorization"].removeprefix("Bearer "))
        if path in KINDS:
            rows = [{"name": n, "kind": k, "namespaced": s} for n, k, s in KINDS[path]]
            return httpx.Response(200, json={"kind": "APIResourceList", "resources": rows})
        if request.method == "PATCH":
            body = json.loads(request.content)
            manager = {"manager": request.url.params["fieldManager"], "operation": "Apply"}
            body["metadata"] |= {"uid": "1", "managedFields": [manager]}
            self.objects[path] = body
            self.applied.append(path)
        if path not in self.objects:
            return httpx.Response(404, json={"kind": "Status", "reason": "NotFound", "message": path})
        return httpx.Response(200, json=self.objects[path])

    def connect(self, access: ClusterAccess) -> KubernetesClient:
        return KubernetesClient(access, httpx.MockTransport(self))


@dataclass
class Bench:
    folder: Path
    workspace: Path
    server: ApiServer
    capsys: pytest.CaptureFixture[str]

    def fleet(self, *arguments: str, expect: int = exits.OK) -> str:
        code = main([*arguments, "-i", str(self.folder), "--workspace", str(self.workspace)])
        captured = self.capsys.readouterr()
        said = captured.out + captured.err
        assert code == expect, said
        assert "Traceback" not in said
        assert TOKEN not in said
        return re.sub(r"\s+", " ", said)

    def up(self, *more: str, expect: int = exits.OK) -> str:
        return self.fleet("up", "narvik", "--engine", "local", "--yes", *more, expect=expect)


@pytest.fixture
def bench(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    for name, value in ACCOUNTS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NARVIK_KUBECONFIG", raising=False)
    server = ApiServer()
    made = partial(kubernetes_provider.KubernetesProvider, server.connect)
    monkeypatch.setattr(kubernetes_provider, "KubernetesProvider", made)
    folder = Path(shutil.copytree(FACTORY, tmp_path / "fleet"))
    file = folder / "sites" / "narvik.yaml"
    text = file.read_text()
    assert "  name: narvik-aks\n" in text
    reference = "  name: narvik-aks\n  kubeconfig: {env: NARVIK_KUBECONFIG}\n"
    file.write_text(text.replace("  name: narvik-aks\n", reference))
    inventory, _ = read_inventory(folder)
    assert inventory is not None
    workspace = Workspace(tmp_path / "workspace")
    with running_sandbox(workspace, inventory, clock_factor=0):
        yield Bench(folder, workspace.root, server, capsys)
        connection = workspace.connection()
        assert connection is not None
        wiring.arm_client(connection).close()
        wiring.arm_client.cache_clear()


def test_what_is_in_the_cluster_is_declared_once_it_can_be(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one test, as each step stands on the one before."""
    # Before the cluster is there nobody has its kubeconfig.
    said = bench.up()
    assert (
        "narvik: what is in the cluster is left out: the sandbox has no cluster, and the environment" in said
    )
    assert "what is in the cluster waits: the environment has no NARVIK_KUBECONFIG" in said
    assert bench.server.applied == []
    again = bench.up()
    assert "narvik is as the inventory says" in again
    assert "flux-source" in bench.fleet("plan", "narvik"), "the inventory asks for it all the same"

    monkeypatch.setenv("NARVIK_KUBECONFIG", kubeconfig())
    said = bench.up()
    assert "what is in it goes to https://narvik.example:6443, for real" in said
    assert SOURCE in bench.server.applied
    assert bench.server.objects[SOURCE]["metadata"]["name"] == "fleet"  # type: ignore[index]
    count = len(bench.server.applied)
    assert "narvik is as the inventory says" in bench.up()
    assert len(bench.server.applied) == count
    for path in bench.workspace.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path

    # A new credential is no other cluster.
    monkeypatch.setenv("NARVIK_KUBECONFIG", kubeconfig("another-one"))
    bench.up()
    assert len(bench.server.applied) == count
    assert "narvik is as the inventory says" in bench.up()

    # A plan asks for no secret, and does not take what it can't reach for dropped.
    monkeypatch.delenv("NARVIK_KUBECONFIG")
    assert "0 of 1 sites would change" in bench.fleet("plan", "narvik")
    dry = bench.up("--dry-run")
    assert "what is in the cluster was compared with what is recorded of it" in dry
    assert "0 resources would change" in dry
    # A run that would change the site needs it.
    said = bench.up(expect=exits.MISSING)
    assert "error[SEC010]: the environment has no NARVIK_KUBECONFIG" in said
    assert len(bench.server.applied) == count


def test_a_change_inside_the_cluster_is_planned_without_the_secret(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NARVIK_KUBECONFIG", kubeconfig())
    bench.up()
    monkeypatch.delenv("NARVIK_KUBECONFIG")
    file = bench.folder / "sites" / "narvik.yaml"
    file.write_text(file.read_text() + "delivery: {intervalMinutes: 17}\n")
    said = bench.fleet("plan", "narvik")
    assert re.search(r"update \S+Kustomization flux-entry spec.interval", said), said
    monkeypatch.setenv("NARVIK_KUBECONFIG", kubeconfig())
    bench.up()
    assert bench.server.objects[SOURCE]["spec"]["interval"] == "17m"  # type: ignore[index]


def test_a_kubeconfig_that_cant_be_used_is_refused_before_anything_is_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NARVIK_KUBECONFIG", kubeconfig().replace("https:", "http:"))
    said = bench.up(expect=exits.MISSING)
    assert "error[STK002]: narvik: kubernetes.kubeconfig can't be used: its server is not https" in said
    assert not (bench.workspace / "state").exists()


def test_a_rollout_says_which_clusters_it_reaches_and_leaves_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its steps run in other processes, which have no stand-in: that nobody answers shows that they ask."""
    said = bench.fleet("rollout", "start", "--engine", "local", "--yes")
    assert "what is in the cluster is left out at 1 sites: narvik: the environment has no" in said
    monkeypatch.setenv("NARVIK_KUBECONFIG", kubeconfig(server="https://127.0.0.1:1"))
    # A site of which a part waits is not passed over as unchanged; the others are.
    said = bench.fleet("rollout", "start", "--engine", "local", "--yes", expect=exits.SITES_FAILED)
    assert "goes to narvik https://127.0.0.1:1, for real" in said
    assert re.search(r"error\[Unreachable\]: namespace-\S+ https://127.0.0.1:1 gives no answer", said)
    assert "turin deploy" not in said
