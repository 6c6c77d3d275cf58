"""`fleet diff SITE --cluster`: what a real API server says that applying would change."""

import json
from pathlib import Path

import httpx
import pytest

from fleet.adapters.cluster_compare import objects_of
from fleet.cli import exits
from fleet.cli.main import main
from fleet.render.tree import render_site
from tests.conformance.cluster import APPLY, Cluster
from tests.conformance.definitions import definitions
from tests.conformance.running import running_cluster
from tests.factory import factory_files, factory_inventory


def as_flux(cluster: Cluster) -> None:
    """Apply graz as kustomize-controller does: its name as field manager, its labels on everything."""
    site = factory_inventory().site("graz")
    assert site is not None
    found = [value for _, value in objects_of(render_site(site.spec).files)]
    for value in sorted(found, key=lambda value: value["kind"] != "Namespace"):
        labels = value["metadata"].get("labels") or {}
        value["metadata"]["labels"] = {**labels, "kustomize.toolkit.fluxcd.io/name": "x"}
        answer = cluster._http.patch(
            cluster.path(value),
            params={"fieldManager": "kustomize-controller", "force": "true"},
            content=json.dumps(value).encode(),
            headers={"Content-Type": APPLY},
        )
        assert answer.status_code in (httpx.codes.OK, httpx.codes.CREATED), answer.text


def test_new_then_equal_then_one_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*more: str) -> dict[str, list[dict[str, object]]]:
        capsys.readouterr()
        arguments = ["diff", "graz", "-i", str(folder), "--cluster", str(cluster.kubeconfig), "-o", "json"]
        assert main([*arguments, *more]) == exits.OK
        answer: dict[str, list[dict[str, object]]] = json.loads(capsys.readouterr().out)
        return answer

    folder = tmp_path / "fleet"
    for path, text in factory_files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (tmp_path / "cluster").mkdir()
    with running_cluster(tmp_path / "cluster") as cluster:
        cluster.install(definitions())
        assert {change["op"] for change in told()["changes"]} == {"add"}
        as_flux(cluster)
        assert told()["changes"] == []
        text = (folder / "fleet.yaml").read_text()
        (folder / "fleet.yaml").write_text(text.replace("maxRetries: 2", "maxRetries: 1"))
        changes = told()["changes"]
        assert [c["added"] for c in changes if c["removed"] == ["  INFERENCE_MAX_RETRIES: '2'"]] == [
            ["  INFERENCE_MAX_RETRIES: '1'"]
        ]
        assert {str(change["path"]).partition("#")[0] for change in changes} == {
            "workloads/agents/maf-agent-api.yaml"
        }
        assert len(changes) > 1, "also the digest that restarts the pods"
