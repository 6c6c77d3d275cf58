"""Pulumi's backends for reading: layout, locks, checkpoints, secrets, and each kind of store with its troubles."""

import gzip
import json
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pulumi
import pytest
from engine_cloud import PASSPHRASE, STACK, Bench, CloudProvider, Thing, only_cloud

from fleet.adapters import pulumi_backend_checkpoint
from fleet.adapters.pulumi_backend import PulumiBackend, open_state
from fleet.adapters.pulumi_backend_azure import AzureBlobs
from fleet.adapters.pulumi_backend_blobs import FolderBlobs, parse_url
from fleet.adapters.pulumi_backend_checkpoint import recorded_stack
from fleet.adapters.pulumi_backend_preview import RecordedStackEngine, UnopenedSecrets
from fleet.adapters.pulumi_backend_s3 import S3Blobs
from fleet.cli.plan_state import given_passphrase
from fleet.diagnostics.diagnostic import FleetError
from fleet.engine.local.values import UNKNOWN_VALUE, SealedSecret, Secret
from fleet.ports.engine import (
    EngineError,
    PassphraseError,
    PulumiCliMissing,
    StackRef,
    StackResult,
    StackRun,
    StateUnreadable,
)
from fleet.ports.state import BackendError, RecordedStack, StackLock, StateSource

SITE = StackRef("fleet", "graz")
URN = "urn:pulumi:graz::fleet::"
SEALED = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:AA:BB"}
ROOT_RESOURCE = {
    "urn": f"{URN}pulumi:pulumi:Stack::fleet-graz",
    "custom": False,
    "type": "pulumi:pulumi:Stack",
}
LOCK = {"pid": 7, "username": "ada", "hostname": "ops-1", "timestamp": "2026-01-02T03:04:05Z"}
META = ".pulumi/meta.yaml"


def checkpoint(*resources: dict[str, Any], version: Any = 3, **more: Any) -> bytes:
    latest = {"manifest": {}, "resources": [ROOT_RESOURCE, *resources], **more}
    body = {"version": version, "checkpoint": {"stack": "organization/fleet/graz", "latest": latest}}
    return json.dumps(body).encode()


class Folder:
    """A backend in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, key: str, data: bytes | str, age_s: float = 0) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        os.utime(path, (1_700_000_000 - age_s, 1_700_000_000 - age_s))

    def open(self) -> StateSource:
        url = f"file://{self.root}"
        return PulumiBackend(FolderBlobs(parse_url(url), url), url)

    def read(self) -> RecordedStack:
        source = self.open()
        return source.read(source.stacks("fleet")["graz"])


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


# Layout


def test_stacks_stand_below_their_project(folder: Folder) -> None:
    folder.put(META, "version: 1\n")
    for key in (
        "fleet/graz.json",
        "fleet/turin.json.gz",
        "fleet/turin.json.bak",
        "fleet/lyon.json.bak",
        "fleet/graz.json.attrs",
        "fleet/graz.pulumi-tags",
        "other/graz.json",
        "old.json",
        "fleet/deeper/x.json",
    ):
        folder.put(f".pulumi/stacks/{key}", checkpoint())
    assert list(folder.open().stacks("fleet")) == ["graz", "turin"]
    assert [entry.key for entry in folder.open().stacks("other").values()] == [
        ".pulumi/stacks/other/graz.json"
    ]
    assert folder.open().stacks("none") == {}


@pytest.mark.parametrize("meta", [None, "version: 0\n"])
def test_the_layout_without_projects(folder: Folder, meta: str | None) -> None:
    if meta is not None:
        folder.put(META, meta)
    folder.put(".pulumi/stacks/graz.json", checkpoint())
    folder.put(".pulumi/stacks/fleet/turin.json", checkpoint())
    folder.put(".pulumi/locks/graz/1.json", json.dumps(LOCK))
    assert list(folder.open().stacks("fleet")) == ["graz"]
    assert folder.read().locks == (StackLock("ada@ops-1 (pid 7)", "2026-01-02T03:04:05Z"),)


def test_of_two_files_of_a_stack_the_one_written_last_counts(folder: Folder) -> None:
    folder.put(META, "version: 1\n")
    folder.put(".pulumi/stacks/fleet/graz.json", checkpoint(), age_s=60)
    folder.put(".pulumi/stacks/fleet/graz.json.gz", gzip.compress(checkpoint()))
    assert folder.read().place.endswith("graz.json.gz")
    folder.put(".pulumi/stacks/fleet/graz.json", checkpoint(), age_s=-60)
    assert folder.read().place.endswith("graz.json")


@pytest.mark.parametrize(
    "meta",
    [
        *("version: 2\n", "{}", "version: one", "version: true", "[", "\xff\x00", "version: 1.5"),
        *("version: 2001-99-99", "[" * 4000, "version: 1\n#" + "x" * 5000, "version: [a]"),
    ],
)
def test_a_layout_that_is_not_known_is_refused(folder: Folder, meta: str) -> None:
    folder.put(META, meta)
    with pytest.raises(BackendError, match="and only 0 and 1 are known") as caught:
        folder.open().stacks("fleet")
    assert caught.value.code == "BCK006"


def test_a_new_backend_is_empty_and_a_folder_that_is_none_is_refused(folder: Folder) -> None:
    with pytest.raises(BackendError, match=r"no Pulumi backend is at .*meta\.yaml") as caught:
        folder.open().stacks("fleet")
    assert caught.value.code == "BCK003"
    folder.put(META, "version: 1\n")
    assert folder.open().stacks("fleet") == {}


def test_locks(folder: Folder) -> None:
    folder.put(META, "version: 1\n")
    folder.put(".pulumi/stacks/fleet/graz.json", checkpoint())
    locks = ".pulumi/locks/organization/fleet"
    folder.put(f"{locks}/graz/1.json", json.dumps(LOCK))
    folder.put(f"{locks}/graz/2.json", b"[" * 100_000)
    folder.put(f"{locks}/graz/3.json", json.dumps(LOCK))
    folder.put(f"{locks}/turin/1.json", json.dumps(LOCK))
    entry = folder.open().stacks("fleet")["graz"]
    (folder.root / locks / "graz" / "3.json").unlink()
    held = folder.open().read(entry).locks
    assert held == (StackLock("ada@ops-1 (pid 7)", "2026-01-02T03:04:05Z"), StackLock())


@pytest.mark.parametrize("name", ["graz.json", "../../meta.yaml"])
def test_a_pipe_where_a_file_is_expected_does_not_hold_a_plan_up(folder: Folder, name: str) -> None:
    folder.put(META, "version: 1\n")
    folder.put(".pulumi/stacks/fleet/graz.json", checkpoint())
    path = folder.root / ".pulumi/stacks/fleet" / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BackendError, match="it is not a file") as caught:
        folder.read()
    assert caught.value.code == "BCK005"


def test_a_link_that_leads_nowhere_is_not_taken_for_no_stack(folder: Folder) -> None:
    folder.put(META, "version: 1\n")
    folder.put(".pulumi/stacks/fleet/turin.json", checkpoint())
    (folder.root / ".pulumi/stacks/fleet/graz.json").symlink_to("elsewhere.json")
    with pytest.raises(BackendError, match=r"graz\.json can't be read") as caught:
        folder.open().stacks("fleet")
    assert caught.value.code == "BCK005"


def test_a_stack_that_goes_away_between_listing_and_reading(folder: Folder) -> None:
    folder.put(META, "version: 1\n")
    folder.put(".pulumi/stacks/fleet/graz.json", checkpoint())
    source = folder.open()
    entry = source.stacks("fleet")["graz"]
    (folder.root / entry.key).unlink()
    with pytest.raises(StateUnreadable, match="gone since"):
        source.read(entry)


# Checkpoints


def read(data: bytes) -> RecordedStack:
    return recorded_stack(SITE, "file:///b/graz.json", data)


def test_a_checkpoint_and_an_export_are_the_same() -> None:
    latest = json.loads(checkpoint())["checkpoint"]["latest"]
    export = json.dumps({"version": 3, "deployment": latest}).encode()
    assert read(checkpoint()).document == read(export).document == read(gzip.compress(export)).document
    assert read(checkpoint()).digest != read(export).digest


def test_a_stack_that_was_never_brought_up_is_empty() -> None:
    for body in ({"stack": "graz"}, {"stack": "graz", "latest": None}):
        assert read(json.dumps({"version": 3, "checkpoint": body}).encode()).document["deployment"] == {}


THING = {"urn": f"{URN}cloud:index:Thing::a", "custom": True, "type": "cloud:index:Thing", "id": "/a"}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not whole JSON"),
        (checkpoint()[:-9], "not whole JSON"),
        (b"\xff\xfe", "not whole JSON"),
        (b"[" * 100_000, "not whole JSON"),
        (gzip.compress(checkpoint())[:-9], "not a whole gzip file"),
        (gzip.compress(checkpoint())[:12] + b"\0" * 40, "not a whole gzip file"),
        (b"\x28\xb5\x2f\xfd rest", "compressed with zstd"),
        (b"[]", "not a Pulumi checkpoint"),
        (b"{}", "version is None"),
        (b'{"version": 3}', "not a Pulumi checkpoint"),
        (b'{"version": 3, "checkpoint": {"latest": 1}}', "not a Pulumi checkpoint"),
        (checkpoint(version=5), "version is 5"),
        (checkpoint(version=2), "version is 2"),
        (checkpoint(version=True), "version is True"),
        (checkpoint({"urn": "urn:pulumi:turin::fleet::t::a", "custom": False, "type": "t"}), "of another stack"),
        (checkpoint(THING, THING), "twice"),
        (checkpoint(THING | {"parent": f"{URN}t::none"}), "is missing"),
        (checkpoint({"custom": True}), "malformed"),
        (checkpoint(THING | {"inputs": [1]}), "malformed"),
        (checkpoint(THING | {"dependencies": 5}), "malformed|not iterable"),
        (checkpoint(THING | {"inputs": {"a": 1}}).replace(b'"a": 1', b'"a": ' + b"1" * 5000), "not whole JSON"),
        (json.dumps({"version": 4, "features": 5, "deployment": {}}).encode(), "features are no list"),
        (checkpoint(resources={"a": 1}), "no list of objects"),
        (checkpoint(resources=[1]), "no list of objects"),
        (checkpoint(secrets_providers=[1], resources=[1]), "no list of objects"),
        (checkpoint(THING | {"inputs": {"p": {**SEALED, "ciphertext": None} | {"plaintext": '"x"'}}}), None),
    ],
)  # fmt: skip
def test_a_checkpoint_that_cannot_be_read_is_refused_with_a_reason(data: bytes, why: str | None) -> None:
    if why is None:
        read(data)
        return
    with pytest.raises(StateUnreadable, match=why) as caught:
        read(data)
    assert caught.value.code == "ENG004" and caught.value.help and ".bak" not in caught.value.help
    assert "file:///b/graz.json" in caught.value.message


def test_a_plain_secret_is_refused_and_not_repeated() -> None:
    plain = {key: value for key, value in SEALED.items() if key != "ciphertext"} | {"plaintext": '"hunter2"'}
    with pytest.raises(StateUnreadable, match="a secret in plain text") as caught:
        read(checkpoint(THING | {"inputs": {"password": plain}}))
    assert "hunter2" not in str(caught.value)


def test_version_4_is_read_unless_it_uses_what_is_not_known() -> None:
    def with_features(*features: str) -> bytes:
        return json.dumps(
            json.loads(checkpoint(THING | {"taint": True}, version=4)) | {"features": features}
        ).encode()

    assert read(with_features("taint")).tainted == ("a",)
    with pytest.raises(StateUnreadable, match="hooks, views"):
        read(with_features("views", "taint", "hooks"))


def test_a_state_too_large_for_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_backend_checkpoint, "MAX_BYTES", 1000)
    for data in (checkpoint() + b" " * 1000, gzip.compress(checkpoint() + b" " * 1000)):
        with pytest.raises(StateUnreadable, match="larger than"):
            read(data)


def test_sealed_inputs_are_found_wherever_they_are() -> None:
    thing = THING | {"inputs": {"a": [1, {"b.c": SEALED}], "d": SEALED, "e": 1}, "outputs": {"f": SEALED}}
    gone = THING | {"delete": True, "inputs": {"old": SEALED}}
    found = read(checkpoint(thing, gone, secrets_providers={"type": "cloud", "state": {}}))
    assert found.sealed == ('a: a[1]["b.c"]', "a: d")
    assert found.secrets_provider == "cloud"


# Previews


class Recorded:
    """A stack that the local engine brought up, as a backend would have it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def stack(
        self, provider: str | None = None, edit: Callable[[dict[str, Any]], None] | None = None
    ) -> RecordedStack:
        latest = self.bench.state()["deployment"]
        if provider is not None:
            latest["secrets_providers"] = {"type": provider, "state": {}}
        for resource in latest["resources"] if edit else ():
            edit(resource)
        body = {"version": 3, "checkpoint": {"stack": STACK.name, "latest": latest}}
        return recorded_stack(STACK, "there", json.dumps(body).encode())

    def engine(self, recorded: RecordedStack | None, passphrase: str | None = None) -> RecordedStackEngine:
        self.bench.cloud.offline = True
        ask = None if passphrase is None else partial(str, passphrase)
        return RecordedStackEngine(recorded, partial(only_cloud, self.bench.cloud), ask)

    def preview(self, program: Any, passphrase: str | None = None, **how: Any) -> StackResult:
        return self.engine(self.stack(**how), passphrase).preview(StackRun(STACK, program))


def program(password: Any = "hunter22", size: int = 1, region: str = "eu", **more: Any) -> None:
    provider = CloudProvider("own", region=region)
    secret = (
        password if password is None or isinstance(password, list | dict) else pulumi.Output.secret(password)
    )
    first = Thing("a", pulumi.ResourceOptions(provider=provider), password=secret, **more)
    Thing("b", pulumi.ResourceOptions(provider=provider), link=first.link, size=size)


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    bench = Bench(tmp_path)
    assert bench.up(program).error is None
    return Recorded(bench)


def changes(result: StackResult) -> dict[str, list[str]]:
    assert result.error is None, result.error
    return {
        c.name: [c.op, *(d.path for d in c.changes)] for c in result.changes if c.op not in ("same", "read")
    }


@pytest.mark.parametrize("provider", ["cloud", "service", "b64", None])
def test_a_secret_that_cannot_be_opened_is_no_change_and_has_no_consequence(
    recorded: Recorded, provider: str | None
) -> None:
    assert changes(recorded.preview(partial(program, "another"), provider=provider)) == {}
    assert changes(recorded.preview(partial(program, "another", 2), provider=provider)) == {
        "b": ["update", "size"]
    }


def test_a_cloud_s_secret_is_not_opened_with_a_passphrase_either(recorded: Recorded) -> None:
    assert changes(recorded.preview(partial(program, "another"), "anything", provider="cloud")) == {}


def test_with_the_passphrase_secrets_are_compared(recorded: Recorded) -> None:
    assert changes(recorded.preview(program, PASSPHRASE)) == {}
    changed = changes(recorded.preview(partial(program, "another"), PASSPHRASE))
    assert changed["a"] == ["update", "password"]
    with pytest.raises(PassphraseError, match="not the one"):
        recorded.preview(program, "wrong")


def test_a_secret_that_the_program_dropped_is_a_change(recorded: Recorded) -> None:
    assert changes(recorded.preview(partial(program, None)))["a"] == ["update", "password"]


def test_a_stack_that_is_not_there_is_all_new(recorded: Recorded) -> None:
    result = recorded.engine(None).preview(StackRun(STACK, program))
    assert {c.op for c in result.changes} == {"create"}


def test_what_the_cli_notes_of_a_provider_is_no_change(recorded: Recorded) -> None:
    def note(resource: dict[str, Any]) -> None:
        if resource["type"] == "pulumi:providers:cloud":
            for bag in ("inputs", "outputs"):
                resource[bag] |= {"version": "9.9.9", "__internal": {"pluginDownloadURL": "x"}}

    assert changes(recorded.preview(program, edit=note)) == {}
    assert "own" in changes(recorded.preview(partial(program, region="us"), edit=note))


def test_nothing_but_a_preview_is_possible(recorded: Recorded) -> None:
    engine = recorded.engine(recorded.stack(), PASSPHRASE)
    for act in (engine.up, engine.refresh, engine.destroy):
        with pytest.raises(EngineError, match="never written"):
            act(StackRun(STACK, partial(program, "x", 9)))
    assert [resource.name for resource in engine.resources(STACK)][-1:] == ["demo-site-a"]


def test_a_settled_address_comes_from_the_state(recorded: Recorded) -> None:
    asked: list[str | None] = []

    def reads() -> None:
        asked.append(pulumi.Config(STACK.project).get("metadataHost"))

    provider = {"urn": f"{URN}pulumi:providers:azure-native::azure", "custom": True, "id": "1"} | {
        "type": "pulumi:providers:azure-native", "inputs": {"metadataHost": "arm.site.example"}
    }  # fmt: skip
    stack = read(checkpoint(provider))
    recorded.engine(stack).preview(StackRun(StackRef(STACK.project, "graz"), reads))
    assert asked == ["arm.site.example"]


def test_sealed_secrets_stand_where_they_stood() -> None:
    old = {"a": SealedSecret("x"), "l": [1, SealedSecret("y")], "gone": SealedSecret("z"), "n": 1}
    new = {"a": "plain", "l": [2, Secret("p"), 3], "n": Secret(1), "u": UNKNOWN_VALUE}
    secrets = UnopenedSecrets()
    assert secrets.reuse(new, old) == {
        "a": SealedSecret("x"), "l": [2, SealedSecret("y"), 3], "n": Secret(1), "u": UNKNOWN_VALUE
    }  # fmt: skip
    assert secrets.open_all({"a": [SealedSecret("x"), 1]}) == {"a": [UNKNOWN_VALUE, 1]}
    with pytest.raises(PassphraseError):
        secrets.open(SealedSecret("x"))


def test_the_passphrase_is_the_cli_s_and_never_the_sandbox_s(tmp_path: Path) -> None:
    file = tmp_path / "p"
    file.write_text("from a file\n")
    assert given_passphrase({}) is None
    assert given_passphrase({"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}) == "from a file"
    assert given_passphrase({"PULUMI_CONFIG_PASSPHRASE": "x", "PULUMI_CONFIG_PASSPHRASE_FILE": "none"}) == "x"
    with pytest.raises(FleetError, match="can't be read"):
        given_passphrase({"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "none")})


# URLs


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("gs://bucket", "does not read a backend gs://"),
        ("postgres://db", "does not read a backend postgres://"),
        ("/srv/pulumi", "without a scheme"),
        ("", "without a scheme"),
        ("s3://key:hunter2@bucket", "holds a user or a password"),
        ("s3://", "names no bucket"),
        ("s3://b?region=a&region=b", "says a parameter twice"),
        ("s3://b?sig=hunter2", "has no parameter 'sig'"),
        ("s3://b?role=arn:aws:iam::1:role/hunter2", "does not assume a role"),
        ("s3://b?endpoint=https://key:hunter2@minio.example:9000", "holds a user or a password"),
        ("s3://b?endpoint=https://minio.example?sig=hunter2", "holds a user or a password"),
        ("azblob://c?storage_account=a&domain=key:hunter2@x", "holds a user or a password"),
        ("s3://b?endpoint=http://minio.example:9000", "HTTP without TLS"),
        ("s3://b?endpoint=minio.example:9000&disableSSL=true", "HTTP without TLS"),
        ("s3://b?disable_https=true", "HTTP without TLS"),
        ("s3://b?use_path_style=yes", "neither true nor false"),
        ("azblob://", "names no container"),
        ("azblob://c?sv=hunter2", "has no parameter 'sv'"),
        ("azblob://c", "nothing names the storage account"),
        ("azblob://c?storage_account=a&protocol=http", "HTTP without TLS"),
        ("azblob://c?storage_account=a&protocol=ftp", "is not a protocol"),
        ("file:///tmp?region=x", "has no parameter 'region'"),
        ("s3://[bad", "malformed"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, url: str, why: str
) -> None:
    for name in [name for name in os.environ if name.startswith("AZURE_STORAGE")]:
        monkeypatch.delenv(name)
    with pytest.raises(BackendError, match=why) as caught:
        open_state(url)
    assert caught.value.code == "BCK001" and caught.value.exit_code == 2 and caught.value.help
    assert "hunter2" not in f"{caught.value.message} {caught.value.help}"


def test_where_a_url_leads() -> None:
    parts = parse_url("s3://My-Bucket/a/b%20c/?region=eu-west-1&prefix=x/")
    assert (parts.host, parts.prefix, parts.shown) == ("My-Bucket", "x/a/b c/", "s3://My-Bucket/a/b%20c")
    assert parse_url("azblob://c").prefix == ""


def test_a_folder_as_the_cli_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home" / "my state"
    home.mkdir(parents=True)
    (home / "x").write_bytes(b"1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for url in (
        "file://~/my%20state",
        "file://home/my state",
        f"file://{home}?no_tmp_dir=true",
        "file://./home/my state/",
    ):
        assert FolderBlobs(parse_url(url), url).get("x") == b"1", url
    with pytest.raises(BackendError, match="there is no folder"):
        open_state("file://~/none")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(folder: Folder) -> None:
    folder.put(META, "version: 1\n")
    (folder.root / ".pulumi").chmod(0)
    try:
        with pytest.raises(BackendError) as caught:
            folder.open().stacks("fleet")
        assert caught.value.code == "BCK002"
    finally:
        (folder.root / ".pulumi").chmod(0o700)


def test_a_file_where_a_folder_is_expected(folder: Folder) -> None:
    folder.put(META, "version: 1\n")
    folder.put(".pulumi/stacks/fleet/graz.json/x", b"")
    blobs = FolderBlobs(parse_url(f"file://{folder.root}"), f"file://{folder.root}")
    with pytest.raises(BackendError, match="can't be read") as caught:
        blobs.get(".pulumi/stacks/fleet/graz.json")
    assert caught.value.code == "BCK005"
    assert blobs.get(f"{META}/below") is None


# S3, against moto


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    boto3 = pytest.importorskip("boto3", reason="the extra s3 is not installed")
    moto = pytest.importorskip("moto", reason="moto stands in for S3")
    for name, value in (
        ("ACCESS_KEY_ID", "test"),
        ("SECRET_ACCESS_KEY", "test"),
        ("DEFAULT_REGION", "eu-west-1"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    with moto.mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="state", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield client


def s3_backend(url: str) -> PulumiBackend:
    parts = parse_url(url)
    return PulumiBackend(S3Blobs(parts), parts.shown)


def test_a_backend_in_s3(s3: Any) -> None:
    objects = {
        META: b"version: 1\n",
        ".pulumi/stacks/fleet/graz.json.gz": gzip.compress(checkpoint()),
        ".pulumi/locks/organization/fleet/graz/1.json": json.dumps(LOCK).encode(),
    }
    for key, data in objects.items():
        s3.put_object(Bucket="state", Key=f"prod/{key}", Body=data)
    for n in range(5):
        s3.put_object(Bucket="state", Key=f"prod/.pulumi/stacks/many/s{n}.json", Body=b"")
    source = s3_backend("s3://state/prod?region=eu-west-1")

    def small_pages(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = 2

    assert isinstance(source.blobs, S3Blobs)
    source.blobs._client.meta.events.register("before-parameter-build.s3.ListObjectsV2", small_pages)
    assert len(source.stacks("many")) == 5
    stack = source.read(source.stacks("fleet")["graz"])
    assert stack.place == "s3://state/prod/.pulumi/stacks/fleet/graz.json.gz"
    assert [lock.holder for lock in stack.locks] == ["ada@ops-1 (pid 7)"]
    assert stack.document["deployment"]["resources"] == [ROOT_RESOURCE]
    kept = {
        item["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket="state")
        for item in page["Contents"]
    }
    assert len(kept) == 8
    with pytest.raises(BackendError, match="no Pulumi backend is at s3://state/elsewhere"):
        s3_backend("s3://state/elsewhere").stacks("fleet")


def test_troubles_of_s3(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match="there is no bucket stats") as caught:
        s3_backend("s3://stats").stacks("fleet")
    assert caught.value.code == "BCK003"
    with pytest.raises(BackendError, match="nobody is signed in") as caught:
        s3_backend("s3://state?profile=none")
    assert caught.value.code == "BCK002"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(BackendError, match="nobody is signed in to S3 for s3://state") as caught:
        s3_backend("s3://state?region=eu-west-1").stacks("fleet")
    assert caught.value.code == "BCK002" and "aws sso login" in caught.value.help


@pytest.mark.parametrize(
    ("answer", "code", "why"),
    [
        ("AccessDenied", "BCK002", "may not read"),
        ("ExpiredToken", "BCK002", "did not accept the login"),
        ("PermanentRedirect", "BCK003", "in another region"),
        ("InternalError", "BCK005", "S3 failed"),
    ],
)
def test_what_s3_answers(s3: Any, monkeypatch: pytest.MonkeyPatch, answer: str, code: str, why: str) -> None:
    from botocore.exceptions import ClientError

    blobs = S3Blobs(parse_url("s3://state"))

    def refuse(*_: Any, **__: Any) -> Any:
        raise ClientError({"Error": {"Code": answer, "Message": "words"}}, "GetObject")

    monkeypatch.setattr(blobs._client, "get_object", refuse)
    with pytest.raises(BackendError, match=why) as caught:
        blobs.get(META)
    assert caught.value.code == code


def test_an_s3_of_somebody_else(s3: Any) -> None:
    blobs = S3Blobs(parse_url("s3://b?endpoint=minio.example:9000&s3ForcePathStyle=true&region=x&awssdk=v2"))
    assert blobs._client.meta.endpoint_url == "https://minio.example:9000"
    assert blobs._client.meta.config.s3["addressing_style"] == "path"
    near = S3Blobs(parse_url("s3://b?endpoint=127.0.0.1:1&disableSSL=true&use_path_style=true&region=x"))
    near._client.meta.config.retries["total_max_attempts"] = 1
    assert near._client.meta.endpoint_url == "http://127.0.0.1:1"


# Azure Blob Storage, against a stand-in


class BlobService(BaseHTTPRequestHandler):
    """As much of Blob Storage as reading takes: lists in pages of two, downloads, and refusals. No login is checked."""

    blobs: dict[str, bytes]
    asked: list[str]

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        self.asked.append(self.command)
        _, account, container, *key = unquote(path).split("/", 3)
        if account != "acct":
            self.answer(403, b"", "AuthenticationFailed")
        elif container == "closed":
            self.answer(403, b"", "AuthorizationPermissionMismatch")
        elif container != "state":
            self.answer(404, b"", "ContainerNotFound")
        elif "list" in query.get("comp", ()):
            self.answer(200, self.page(query.get("prefix", [""])[0], query.get("marker", [""])[0]))
        elif key and key[0] in self.blobs:
            self.answer(200, self.blobs[key[0]])
        else:
            self.answer(404, b"", "BlobNotFound")

    def page(self, prefix: str, marker: str) -> bytes:
        names = sorted(name for name in self.blobs if name.startswith(prefix) and name > marker)
        items = "".join(
            f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>Fri, 02 Jan 2026 03:04:05 GMT</Last-Modified>"
            f"<Content-Length>{len(self.blobs[name])}</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
            for name in names[:2]
        )
        more = escape(names[1]) if len(names) > 2 else ""
        return (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="x" ContainerName="state">'
            f"<Blobs>{items}</Blobs><NextMarker>{more}</NextMarker></EnumerationResults>"
        ).encode()

    def answer(self, status: int, body: bytes, code: str = "") -> None:
        if code:
            body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>words</Message></Error>'.encode()
        self.send_response(206 if self.headers.get("x-ms-range") and status == 200 else status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
        self.send_header("ETag", '"1"')
        self.send_header("Content-Type", "application/xml")
        if self.headers.get("x-ms-range") and status == 200:
            self.send_header("Content-Range", f"bytes 0-{max(0, len(body) - 1)}/{len(body)}")
        if code:
            self.send_header("x-ms-error-code", code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


ENVIRONMENT = {"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_KEY": "c2VjcmV0"}


@pytest.fixture
def blob_service() -> Iterator[tuple[str, type[BlobService]]]:
    pytest.importorskip("azure.storage.blob", reason="the extra azblob is not installed")
    handler = type("Handler", (BlobService,), {"blobs": {}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"domain=127.0.0.1:{server.server_port}&protocol=http", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def azure_backend(url: str, environment: dict[str, str] = ENVIRONMENT) -> PulumiBackend:
    parts = parse_url(url)
    return PulumiBackend(AzureBlobs(parts, environment), parts.shown)


@pytest.mark.parametrize("login", ["key", "sas", "connection"])
def test_a_backend_in_azure(blob_service: tuple[str, type[BlobService]], login: str) -> None:
    where, service = blob_service
    port = where.partition("&")[0].rpartition(":")[2]
    environment = {
        "key": ENVIRONMENT,
        "sas": {"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_SAS_TOKEN": "sv=2020&sig=abc"},
        "connection": {
            "AZURE_STORAGE_CONNECTION_STRING": "DefaultEndpointsProtocol=http;AccountName=acct;AccountKey=c2VjcmV0;"
            f"BlobEndpoint=http://127.0.0.1:{port}/acct"
        },
    }[login]
    service.blobs |= {
        f"prod/{META}": b"version: 1\n",
        "prod/.pulumi/stacks/fleet/graz.json": checkpoint(),
        "prod/.pulumi/stacks/fleet/lyon.json": checkpoint(),
        "prod/.pulumi/stacks/fleet/turin.json": checkpoint(),
        "prod/.pulumi/locks/organization/fleet/graz/1.json": json.dumps(LOCK).encode(),
    }
    source = azure_backend(f"azblob://state/prod?{where}", environment)
    assert list(source.stacks("fleet")) == ["graz", "lyon", "turin"]
    stack = source.read(source.stacks("fleet")["graz"])
    assert stack.place == "azblob://state/prod/.pulumi/stacks/fleet/graz.json"
    assert [lock.holder for lock in stack.locks] == ["ada@ops-1 (pid 7)"]
    assert set(service.asked) == {"GET"}


@pytest.mark.parametrize(
    ("container", "account", "code", "why"),
    [
        ("none", "acct", "BCK003", "there is no container none"),
        ("closed", "acct", "BCK002", "may not read azblob://closed: AuthorizationPermissionMismatch"),
        ("state", "other", "BCK002", "did not accept the login"),
        ("state", "acct", "BCK003", "no Pulumi backend is at"),
    ],
)
def test_troubles_of_azure(
    blob_service: tuple[str, type[BlobService]], container: str, account: str, code: str, why: str
) -> None:
    where, _ = blob_service
    source = azure_backend(f"azblob://{container}?storage_account={account}&{where}")
    with pytest.raises(BackendError, match=why) as caught:
        source.stacks("fleet")
    assert caught.value.code == code


def test_azure_that_nobody_answers(blob_service: tuple[str, type[BlobService]]) -> None:
    source = azure_backend("azblob://state?domain=127.0.0.1:1&protocol=http")
    source.blobs._client._config.retry_policy.total_retries = 0  # type: ignore[attr-defined]
    with pytest.raises(BackendError, match="can't be reached") as caught:
        source.stacks("fleet")
    assert caught.value.code == "BCK005"


def test_a_malformed_login_of_azure_is_not_repeated() -> None:
    pytest.importorskip("azure.storage.blob", reason="the extra azblob is not installed")
    for environment in (
        {"AZURE_STORAGE_CONNECTION_STRING": "hunter2"},
        {
            "AZURE_STORAGE_CONNECTION_STRING": "AccountName=a;AccountKey=hunter2;BlobEndpoint=http://far.example/a"
        },
    ):
        with pytest.raises(BackendError) as caught:
            azure_backend("azblob://state", environment)
        assert caught.value.code == "BCK001" and "hunter2" not in str(caught.value)


# The Pulumi CLI, as a stand-in


@pytest.fixture
def pulumi_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program that answers `stack ls` from ls.json and `stack export` from export.json, and notes its words."""
    open_state.cache_clear()
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/words\ngrep -q "name: \\"fleet\\"" Pulumi.yaml || exit 3\n'
        f'if [ -f {tmp_path}/fails ]; then echo "error: PULUMI_ACCESS_TOKEN must be set" >&2; exit 255; fi\n'
        f'if [ "$2" = ls ]; then cat {tmp_path}/ls.json; else cat {tmp_path}/export.json; fi\n'
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
    yield tmp_path
    open_state.cache_clear()


def test_through_the_cli(pulumi_program: Path) -> None:
    listed = [
        {"name": "acme/graz", "current": False, "updateInProgress": True},
        {"name": "turin", "current": False},
    ]
    (pulumi_program / "ls.json").write_text(json.dumps(listed))
    latest = json.loads(checkpoint())["checkpoint"]["latest"]
    (pulumi_program / "export.json").write_text(json.dumps({"version": 3, "deployment": latest}))
    source = open_state("cli")
    stacks = source.stacks("fleet")
    assert list(stacks) == ["graz", "turin"]
    stack = source.read(stacks["graz"])
    assert stack.document["deployment"]["resources"] == [ROOT_RESOURCE] and stack.locks == (StackLock(),)
    assert (pulumi_program / "words").read_text().splitlines() == [
        "stack ls --json --non-interactive",
        "stack export --stack acme/graz --non-interactive",
    ]


def test_troubles_of_the_cli(pulumi_program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_state("cli")
    for text in ("no json", "[1]", '{"a": 1}', '[{"name": 1, "x": }]'):
        (pulumi_program / "ls.json").write_text(text)
        with pytest.raises(BackendError, match="answered with what fleet does not know") as caught:
            source.stacks("fleet")
        assert caught.value.code == "BCK007"
    (pulumi_program / "fails").touch()
    with pytest.raises(BackendError, match="stack ls failed: error: PULUMI_ACCESS_TOKEN must be set"):
        source.stacks("fleet")
    monkeypatch.setenv("PATH", "/nonexistent")
    open_state.cache_clear()
    with pytest.raises(PulumiCliMissing):
        open_state("cli")
