"""The sandbox's azure-native as a plugin: driven by Pulumi's own Go client, and by the CLI where there is one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub

from fleet.sandbox.arm import ArmSandbox
from fleet.sandbox.provider_plugin import _connection, main, write_plugins
from tests.parity.judge import ask
from tests.parity.stages import NO_CLI, Cli, cli_missing

SUB = "00000000-0000-0000-0000-000000000001"
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg-a"
URN = "urn:pulumi:dev::parity::azure-native:resources:ResourceGroup::g"
PROVIDER = "urn:pulumi:dev::parity::pulumi:providers:azure-native::default"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """A workspace with a running sandbox."""
    folder = tmp_path / "workspace"
    with ArmSandbox(folder / "sandbox" / "arm", subscriptions=[SUB]) as sandbox:
        connection = {
            "endpoint": sandbox.endpoint,
            "caFile": str(sandbox.ca_file),
            "tokenFile": str(folder / "sandbox" / "arm" / "token"),
            "pid": os.getpid(),
        }
        (folder / "sandbox" / "connection.json").write_text(json.dumps(connection))
        yield folder


def started(tmp_path: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    plugin, _ = write_plugins(tmp_path / "bin")
    return subprocess.Popen(
        [plugin, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def test_a_life_cycle_through_pulumis_own_client(workspace: Path, tmp_path: Path) -> None:
    plugin, _ = write_plugins(tmp_path / "bin")
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "hush-hush"}
    here = {"resourceGroupName": "rg-a", "location": "eastus", "tags": {"key": secret}}
    there = {"resourceGroupName": "rg-a", "location": "westus", "tags": {"key": secret}}
    calls: list[dict[str, Any]] = [
        {"Method": "GetPluginInfo"},
        {"Method": "Configure", "URN": PROVIDER, "Inputs": {"subscriptionId": SUB}},
        {"Method": "Check", "URN": URN, "Inputs": {"location": "eastus"}},
        {"Method": "Check", "URN": URN, "Inputs": here},
        {"Method": "Create", "URN": URN, "Preview": True},
        {"Method": "Create", "URN": URN},
        {"Method": "Create", "URN": URN},
        {"Method": "Read", "URN": URN},
        {"Method": "Check", "URN": URN, "Inputs": {**here, "tags": {"env": "dev"}}},
        {"Method": "Diff", "URN": URN},
        {"Method": "Update", "URN": URN, "Preview": True},
        {"Method": "Update", "URN": URN},
        {"Method": "Check", "URN": URN, "Inputs": there},
        {"Method": "Diff", "URN": URN},
        {"Method": "Delete", "URN": URN},
        {"Method": "Read", "URN": URN},
        {"Method": "Check", "URN": URN.replace("ResourceGroup", "Nothing"), "Inputs": here},
    ]
    answers = ask("provider", str(plugin), question=calls, FLEET_WORKSPACE=str(workspace))
    info, configured, missing, checked, foreseen, made, again, found = answers[:8]
    assert info["version"] == "3.29.0"
    assert "error" not in configured
    assert missing["failures"] == ["resourceGroupName: is required, names too"]
    assert checked["values"]["tags"]["key"]["value"] == "hush-hush", "secrets come back marked"
    assert "error" not in foreseen
    assert (made["id"], made["status"]) == (GROUP, "ok")
    assert made["values"]["tags"]["key"]["value"] == "hush-hush"
    assert "exists already" in again["error"]
    assert found["id"] == GROUP
    _, in_place, _, updated, _, replacing, deleted, gone, refused = answers[8:]
    assert in_place["changes"] == 2
    assert in_place["detailed"] == {"tags.env": "add", "tags.key": "delete"}
    assert updated["status"] == "ok"
    assert updated["values"]["tags"] == {"env": "dev"}
    assert (replacing["replaces"], replacing["deleteBeforeReplace"]) == (["location"], True)
    assert replacing["detailed"]["location"] == "update-replace"
    assert "error" not in deleted
    assert "id" not in gone
    assert "azure-native:resources:Nothing" in refused["error"]


def test_a_plugin_takes_what_the_cli_gives_it_and_ends_when_told(workspace: Path, tmp_path: Path) -> None:
    arguments = ("--logtostderr", "-v=9", "--tracing", "http://127.0.0.1:1", "127.0.0.1:1")
    plugin = started(tmp_path, *arguments, FLEET_WORKSPACE=str(workspace))
    assert plugin.stdout is not None
    with grpc.insecure_channel(f"127.0.0.1:{int(plugin.stdout.readline())}") as channel:
        stub: Any = ResourceProviderStub(channel)
        assert stub.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:1")) == Empty()
        assert stub.Cancel(Empty()) == Empty()
        with pytest.raises(grpc.RpcError) as error:
            stub.GetMapping(Empty())
        assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    plugin.send_signal(signal.SIGTERM)
    out, err = plugin.communicate(timeout=30)
    assert (plugin.returncode, out, err) == (0, "", ""), (
        "one line on standard output, the port, and no traceback"
    )


def test_a_plugin_that_knows_no_workspace_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not pass for Azure where it is on PATH by chance."""
    monkeypatch.delenv("FLEET_WORKSPACE", raising=False)
    out, err = started(tmp_path, "127.0.0.1:1").communicate(timeout=30)
    assert out == ""
    assert err.startswith("ENV003 this plugin is fleet's stand-in for Azure")
    assert "Traceback" not in err


def test_what_it_is_asked_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--write", str(tmp_path / "bin")]) == 0
    written = capsys.readouterr().out.split()
    assert [Path(p).name for p in written] == ["pulumi-resource-azure-native", "pulumi-resource-kubernetes"]
    for arguments in ([], ["aws"]):
        with pytest.raises(SystemExit):
            main(arguments)


def test_a_program_of_somebody_else_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "pulumi-resource-azure-native"
    theirs.write_bytes(b"\x7fELF\xff")
    assert main(["--write", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"ENV021 {theirs} is another program's")
    assert theirs.read_bytes() == b"\x7fELF\xff"
    theirs.unlink()
    assert main(["--write", str(tmp_path)]) == main(["--write", str(tmp_path)]) == 0
    assert main(["--write", str(theirs)]) == 1
    assert str(theirs) in capsys.readouterr().err


@pytest.mark.parametrize(
    "connection", ["[]", "[" * 100_000, '{"pid": 9999999999999999999999}', '{"pid": 1, "endpoint": "e"}']
)
def test_a_connection_that_is_none_is_no_sandbox(tmp_path: Path, connection: str) -> None:
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "connection.json").write_text(connection)
    assert _connection(tmp_path) is None


def test_a_plugin_does_not_outlive_its_engine(workspace: Path, tmp_path: Path) -> None:
    plugin, _ = write_plugins(tmp_path / "bin")
    # An engine that reads the port and dies; the pipe closes when the plugin is gone too.
    script = (
        "import subprocess\n"
        f"plugin = subprocess.Popen([{str(plugin)!r}, '127.0.0.1:1'], stdout=subprocess.PIPE)\n"
        "plugin.stdout.readline()"
    )
    parent = subprocess.run(
        [sys.executable, "-c", script],
        stderr=subprocess.PIPE,
        env={**os.environ, "FLEET_WORKSPACE": str(workspace)},
        timeout=60,
        check=False,
    )
    assert parent.returncode == 0


@pytest.mark.skipif(cli_missing(), reason=NO_CLI)
def test_the_cli_drives_the_sandbox_through_the_plugin(workspace: Path, tmp_path: Path) -> None:
    import pulumi_azure_native as az

    from fleet.engine.pulumi_cli import PulumiCliEngine
    from fleet.ports.engine import StackRef, StackRun

    def site() -> None:
        group = az.resources.ResourceGroup("group", resource_group_name="rg-a", location="eastus")
        az.storage.StorageAccount(
            "witness",
            account_name="stsitea",
            resource_group_name=group.name,
            location="eastus",
            kind="StorageV2",
            sku=az.storage.SkuArgs(name="Standard_LRS"),
        )

    cli = Cli(tmp_path / "cli")
    write_plugins(tmp_path / "cli" / "bin")
    engine = PulumiCliEngine(tmp_path / "cli" / "work", cli.environment(FLEET_WORKSPACE=str(workspace)))
    run = StackRun(StackRef("parity", "dev"), site, config={"azure-native:subscriptionId": SUB})
    for act, counts in (
        (engine.preview, {"create": 3}),
        (engine.up, {"create": 3}),
        (engine.up, {"same": 3}),
        (engine.refresh, None),
        (engine.destroy, {"delete": 3}),
    ):
        result = act(run)
        assert result.error is None
        assert counts is None or result.counts == counts
