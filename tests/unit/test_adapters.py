"""Artifacts on disk, secrets of this machine, and health as ARM tells it."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.adapters.arm_client import ArmError
from fleet.adapters.arm_health import ArmHealthProbe, signs
from fleet.adapters.oci_layout import LayoutStore, write_layout
from fleet.adapters.secrets import HostSecrets
from fleet.app.site import site_content
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.secrets import HostSecretRef
from fleet.model.site import SiteSpec
from fleet.plan.site_plan import file_changes, file_digests
from fleet.rollout.events import Verdict
from tests.factory import factory_inventory


def spec_of(name: str) -> SiteSpec:
    site = factory_inventory().site(name)
    assert site is not None
    return site.spec


def test_publishing_twice_does_nothing_the_second_time(tmp_path: Path) -> None:
    content, store = site_content(spec_of("graz")), LayoutStore(tmp_path)
    files = file_digests(content.tree)
    assert store.published_files(content.url) == {}
    assert store.publish(content.url, content.artifact, files) is True
    assert store.publish(content.url, content.artifact, files) is False
    assert store.exists(content.url, content.artifact.digest)
    assert store.published_files(content.url) == files
    assert not file_changes(store.published_files(content.url), files)


@pytest.mark.parametrize("damage", [b"", b"other bytes", None])
def test_a_damaged_or_missing_blob_is_seen_and_written_again(damage: bytes | None, tmp_path: Path) -> None:
    content, store = site_content(spec_of("graz")), LayoutStore(tmp_path)
    files = file_digests(content.tree)
    store.publish(content.url, content.artifact, files)
    for blob in tmp_path.rglob("blobs/sha256/*"):
        original = blob.read_bytes()
        blob.unlink() if damage is None else blob.write_bytes(damage)
        assert not store.exists(content.url, content.artifact.digest), blob
        assert store.publish(content.url, content.artifact, files) is True
        assert blob.read_bytes() == original


def test_another_digest_is_not_there(tmp_path: Path) -> None:
    content, store = site_content(spec_of("graz")), LayoutStore(tmp_path)
    store.publish(content.url, content.artifact, {})
    assert not store.exists(content.url, "sha256:" + "0" * 64)
    assert not store.exists("oci://elsewhere.example/fleet/graz", content.artifact.digest)


@pytest.mark.parametrize("url", ["oci://host/../../etc", "oci://host/", "oci:///x", "oci://../x"])
def test_a_url_that_leaves_the_folder_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not the URL of a repository"):
        LayoutStore(tmp_path).exists(url, "sha256:x")


def test_the_layout_is_what_the_image_spec_says(tmp_path: Path) -> None:
    content = site_content(spec_of("turin"))
    write_layout(tmp_path, content.artifact)
    assert json.loads((tmp_path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    entry = json.loads((tmp_path / "index.json").read_text())["manifests"][0]
    assert entry["digest"] == content.artifact.digest
    assert entry["size"] == len(
        (tmp_path / "blobs/sha256" / entry["digest"].removeprefix("sha256:")).read_bytes()
    )


def test_secrets_come_from_the_environment_or_a_closed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = HostSecrets(tmp_path)
    monkeypatch.setenv("A_SECRET", "user:word")
    assert secrets.resolve(HostSecretRef(env="A_SECRET")) == "user:word"
    path = tmp_path / "secret"
    path.write_text("user:word\n")
    path.chmod(0o600)
    assert secrets.resolve(HostSecretRef(file="secret")) == "user:word"


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        ("word", 0o644, "others may read the secret file"),
        ("", 0o600, "is empty"),
        (None, 0o600, "can't be read"),
    ],
)
def test_a_secret_that_can_not_be_trusted_is_refused(
    content: str | None, mode: int, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "secret").write_text(content)
        (tmp_path / "secret").chmod(mode)
    with pytest.raises(FleetError) as caught:
        HostSecrets(tmp_path).resolve(HostSecretRef(file="secret"))
    assert (caught.value.code, caught.value.exit_code) == ("SEC010", 11)
    assert message in caught.value.message


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    with pytest.raises(FleetError, match="the environment has no NO_SUCH_SECRET"):
        HostSecrets(tmp_path).resolve(HostSecretRef(env="NO_SUCH_SECRET"))


class FakeArm:
    """Answers every sign as healthy, except where told otherwise."""

    def __init__(self, spec: SiteSpec, **different: object) -> None:
        self.answers = {
            s.resource_id: {"properties": {s.prop: different.get(s.what, s.wanted)}} for s in signs(spec)
        }

    def get(self, path: str, _api_version: str) -> dict[str, Any]:
        answer = self.answers[path]
        problem = next(iter(answer["properties"].values()))
        if isinstance(problem, ArmError):
            raise problem
        return answer


def verdict(site: str, **different: object) -> tuple[Verdict, str]:
    spec = spec_of(site)
    arm: Any = FakeArm(spec, **different)
    health = ArmHealthProbe(lambda: arm, lambda _: spec).probe(site)
    return health.verdict, "; ".join(health.reasons)


def test_health() -> None:
    assert verdict("graz")[0] is Verdict.HEALTHY
    assert verdict("graz", **{"Arc connection": "Offline"}) == (Verdict.UNHEALTHY, "Arc connection: Offline")
    assert verdict("graz", **{"workloads (Flux)": "Non-Compliant"})[0] is Verdict.UNHEALTHY
    assert verdict("graz", **{"workloads (Flux)": "Pending"}) == (
        Verdict.INCONCLUSIVE,
        "workloads (Flux): Pending",
    )
    assert verdict("graz", **{"AKS cluster": 7}) == (Verdict.INCONCLUSIVE, "AKS cluster: unknown")
    gone = ArmError(404, "ResourceNotFound", "gone")
    silent = ArmError(0, "NoAnswer", "timed out")
    assert verdict("graz", deployment=gone)[0] is Verdict.UNHEALTHY
    assert verdict("graz", deployment=silent)[0] is Verdict.INCONCLUSIVE, "no answer is not a failure"


def test_a_disconnected_site_is_not_judged_by_arc_and_says_so() -> None:
    assert {sign.what for sign in signs(spec_of("narvik"))} == {
        "Azure Local cluster",
        "deployment",
        "AKS cluster",
    }
    assert "workloads: not observed" in verdict("narvik")[1]
