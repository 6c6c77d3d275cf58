"""What goes wrong: refused effects, half-made resources, broken programs, locks and damaged states."""

import json
import multiprocessing
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pulumi
import pytest
from engine_cloud import STACK, Bench, Thing, only_cloud, ops
from pulumi import ResourceOptions

from fleet.engine.local.checkpoint import Deployment
from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.secrets import StackSecrets
from fleet.engine.local.store import StateStore
from fleet.engine.pulumi_cli import PulumiCliEngine
from fleet.ports.engine import (
    EngineError,
    EngineFailure,
    PassphraseError,
    PulumiCliMissing,
    StackRef,
    StackRun,
    StateLocked,
    StateUnreadable,
    UnsupportedByLocalEngine,
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def names(urns: Any) -> list[str]:
    return sorted(urn.rsplit("::", 1)[-1] for urn in urns)


def family() -> None:
    a = Thing("a")
    b = Thing("b", source=a.link)
    Thing("c", opts=ResourceOptions(depends_on=[b]))
    Thing("alone")


def test_failure_in_the_middle_and_again(bench: Bench) -> None:
    bench.cloud.refuse = {"create b"}
    result = bench.up(family)
    assert result.error is not None
    assert result.error.code == "ResourceExhausted"
    assert names([result.error.urn]) == ["b"]
    assert names(result.skipped) == ["c"]
    assert bench.things() == ["a", "alone"], "independent resources go on"
    assert bench.state()["deployment"]["pending_operations"] == []

    bench.effects()
    bench.cloud.refuse = set()
    again = bench.up(family)
    assert again.error is None
    assert ops(again) == {"a": "same", "alone": "same", "b": "create", "c": "create"}
    assert bench.effects() == ["create b", "create c"]


def test_nothing_is_deleted_after_a_failure(bench: Bench) -> None:
    bench.up(family)
    bench.cloud.refuse = {"update /things/a"}
    result = bench.up(lambda: Thing("a", size=2) and None)
    assert names(f.urn for f in result.failures) == ["a"]
    assert bench.things() == ["a", "alone", "b", "c"]
    assert bench.state_of("a")["inputs"] == {"name": "a"}, "the old state stands"


def test_a_delete_that_fails_keeps_what_it_depends_on(bench: Bench) -> None:
    bench.up(family)
    bench.cloud.refuse = {"delete /things/b"}
    result = bench.destroy()
    assert names(f.urn for f in result.failures) == ["b"]
    assert "a" in names(result.skipped)
    assert bench.things() == ["a", "b"]
    bench.cloud.refuse = set()
    assert bench.destroy().error is None
    assert bench.things() == []


def test_replacement_that_fails_after_the_delete(bench: Bench) -> None:
    bench.up(lambda: Thing("a", serial="1") and None)
    bench.cloud.refuse = {"create a"}
    assert bench.up(lambda: Thing("a", serial="2") and None).error is not None
    assert bench.state_of("a")["pendingReplacement"] is True
    bench.cloud.refuse = set()
    bench.effects()
    assert bench.up(lambda: Thing("a", serial="2") and None).error is None
    assert bench.effects() == ["create a"]


def test_a_name_that_is_still_to_be_deleted_can_be_taken_again(bench: Bench) -> None:
    """The program goes back before the end of a replacement: first the old one has to be gone."""

    def named(name: str) -> Any:
        return lambda: Thing("a", name=name) and None

    bench.up(named("one"))
    bench.cloud.refuse = {"delete /things/one"}
    assert bench.up(named("two")).error is not None
    bench.cloud.refuse = set()
    bench.effects()
    assert ops(bench.up(named("one"))) == {"a": "replace"}
    assert bench.effects() == ["delete /things/one", "create one", "delete /things/two"]
    assert bench.things() == ["one"]
    assert bench.up(named("one")).counts == {"same": 2}


def test_partly_created_is_kept_and_repaired(bench: Bench) -> None:
    bench.cloud.partial = {"a"}
    result = bench.up(lambda: Thing("a") and None)
    assert result.error is not None
    assert (result.error.code, result.error.message) == ("Down", "down")
    assert bench.state_of("a")["initErrors"] == ["it did not come up"]
    bench.cloud.partial = set()
    bench.effects()
    assert ops(bench.up(lambda: Thing("a") and None)) == {"a": "update"}
    assert bench.effects() == ["update /things/a"]
    assert "initErrors" not in bench.state_of("a")


def test_check_failures(bench: Bench) -> None:
    result = bench.up(lambda: Thing("a", size="large") and None)
    assert result.error is not None
    assert (result.error.code, result.error.message) == ("CheckFailed", "size: must be a number")
    assert bench.effects() == []


def test_a_program_that_breaks_is_a_failure_with_its_place(bench: Bench) -> None:
    def broken() -> None:
        Thing("a")
        raise KeyError("nodes")

    result = bench.up(broken)
    assert result.error is not None
    assert result.error.urn == ""
    assert result.error.code == "ProgramError"
    assert "KeyError" in result.error.message
    assert "test_engine_failures.py" in result.error.message
    assert bench.up(family).error is None, "the next run starts afresh"


def test_an_error_in_an_apply_is_a_failure(bench: Bench) -> None:
    def broken() -> None:
        thing = Thing("a")
        Thing("b", source=thing.link.apply(lambda link: link["no"]))

    result = bench.up(broken)
    assert result.error is not None
    assert result.error.code == "ProgramError"
    assert bench.things() == ["a"]
    assert len(bench.state()["deployment"]["resources"]) == 3


def test_export_keeps_old_outputs_of_a_failed_run(bench: Bench) -> None:
    def program() -> None:
        thing = Thing("a", name="one")
        pulumi.export("link", thing.link)

    bench.up(program)
    bench.cloud.refuse = {"update /things/one"}

    def changed() -> None:
        thing = Thing("a", name="one", size=2)
        pulumi.export("link", thing.link)

    assert bench.up(changed).outputs == {"link": "[unknown]"}
    assert bench.state()["deployment"]["resources"][0]["outputs"] == {"link": "https://one.example"}


URN = "urn:pulumi:site-a::demo::"


def state(*resources: dict[str, Any]) -> str:
    """A state file with resources of the test cloud; a URN may be a name."""
    common = {"custom": False, "type": "t"}
    whole = [common | r | {"urn": r["urn"] if "::" in r["urn"] else f"{URN}t::{r['urn']}"} for r in resources]
    return json.dumps({"version": 3, "deployment": {"resources": whole}})


A, B, P = f"{URN}t::a", f"{URN}t::b", f"{URN}pulumi:providers:cloud::p"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (state({"urn": "a"}, {"urn": "a"}), f"it has {A} twice"),
        (state({"urn": "a", "parent": B}), f"the parent of {A}, {B}, is missing"),
        (state({"urn": "a", "dependencies": [B]}), f"the dependency of {A}, {B}, is missing"),
        (state({"urn": "a", "dependencies": [B]}, {"urn": "b"}), f"{B}, stands after it"),
        (state({"urn": "a", "propertyDependencies": {"x": [B]}}), "the dependency .of x. of .*, is missing"),
        (state({"urn": "a", "deletedWith": B}), f"the deletedWith of {A}, {B}, is missing"),
        (state({"urn": "a", "provider": f"{P}::1"}), f"the provider of {A}, {P}::1, is missing"),
        (
            state(
                {"urn": P, "type": "pulumi:providers:cloud", "custom": True, "id": "2"},
                {"urn": "a", "provider": f"{P}::1"},
            ),
            f"the provider of {A}, {P}::1, is missing",
        ),
        (state({"urn": f"{URN}a"}), "is not a URN"),
        ('{"version": 3}', "not a Pulumi deployment"),
        ('{"version": 3, "deployment": {"resources": [1]}}', "malformed"),
        ('{"version": 3, "deployment": {"resources": {"urn": "x"}}}', "malformed"),
        ('{"version": 3, "deployment": {"pending_operations": [{}]}}', "malformed"),
        ("null", "not a Pulumi deployment"),
        ("\0" * 200, "not whole JSON"),
        (None, "not whole JSON"),
        ("", "not whole JSON"),
        ("[]", "not a Pulumi deployment"),
        ('{"version": 4, "deployment": {}}', "version is 4"),
        ('{"version": 3, "deployment": {"resources": [{"urn": "x"}]}}', "malformed"),
        ('{"version": 3, "deployment": {"secrets_providers": {"type": "cloud"}}}', "cloud"),
    ],
)
def test_a_damaged_state_is_left_alone(bench: Bench, text: str | None, reason: str) -> None:
    bench.up(family)
    path = bench.store.path(STACK)
    whole = path.read_text()
    damaged = whole[: len(whole) // 2] if text is None else text
    path.write_text(damaged)
    bench.effects()
    engine = bench.engine()
    for attempt in (engine.up, engine.preview, engine.refresh, engine.destroy):
        with pytest.raises(StateUnreadable, match=reason) as error:
            attempt(StackRun(STACK, family))
        assert str(path) in str(error.value)
        assert f"{path}.bak" in error.value.help
        assert error.value.exit_code == 9
    assert path.read_text() == damaged
    assert bench.effects() == []
    assert json.loads(Path(f"{path}.bak").read_text())["version"] == 3


def test_a_state_with_doubles_about_to_be_deleted_is_whole(bench: Bench) -> None:
    path = bench.store.path(STACK)
    path.parent.mkdir(parents=True)
    path.write_text(state({"urn": "a"}, {"urn": "a", "delete": True}, {"urn": "b", "parent": A}))
    assert [r.urn for r in bench.store.load(STACK).resources] == [A, A, B]


def test_a_failure_names_the_resource_and_the_providers_code(bench: Bench) -> None:
    bench.cloud.partial = {"a"}
    result = bench.up(lambda: Thing("a", size=1) and None)
    (failure,) = result.failures
    assert (failure.name, failure.code, failure.urn) == ("a", "Down", bench.state_of("a")["urn"])
    assert bench.state_of("a")["outputs"]["link"] == "https://a.example", "what is known of it is kept"
    assert EngineFailure("", "ProgramError", "x").name == ""


def test_a_plain_secret_in_a_state_is_refused(bench: Bench) -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"x"'}
    state = {"version": 3, "deployment": {"resources": [{"urn": "u", "type": "t", "inputs": {"p": secret}}]}}
    with pytest.raises(ValueError, match="plain text"):
        Deployment.from_json(state)


def test_lock(bench: Bench) -> None:
    with bench.store.lock(STACK):
        with pytest.raises(StateLocked, match=r"locked by .* pid \d+ for 0 s") as error:
            bench.up(family)
        assert error.value.exit_code == 12
        assert bench.preview(family).error is None, "a preview needs no lock"
        assert StateStore(bench.store.directory).load(StackRef("demo", "other")).resources == []
    assert bench.up(family).error is None


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_stack_names_stay_in_the_folder(bench: Bench, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        bench.store.path(StackRef("demo", name))


def _nothing() -> None:
    pass


def _preview_in_pool(work: tuple[Any, StackRun]) -> Any:
    engine, run = work
    return engine.preview(run)


def test_engine_run_and_result_cross_processes(bench: Bench) -> None:
    bench.cloud.barrier = None
    work = (bench.engine(), StackRun(STACK, _nothing, secret_config={"k": "v-secret"}))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.apply(_preview_in_pool, (work,))
        pool.close()
        pool.join()
    assert result.counts == {"create": 1}


@pytest.mark.parametrize(
    "error",
    [
        StateLocked(STACK, "host pid 1", 3.0),
        StateUnreadable("p", "r"),
        PulumiCliMissing(),
        EngineError("m", "h"),
    ],
)
def test_errors_can_be_pickled(error: EngineError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), copy.help, copy.exit_code) == (str(error), error.help, error.exit_code)


def test_cli_engine_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for action in ("preview", "up", "refresh", "destroy"):
        with pytest.raises(PulumiCliMissing, match="PATH"):
            getattr(PulumiCliEngine(Path("nowhere")), action)(StackRun(STACK, _nothing))


def test_state_files_are_private(bench: Bench) -> None:
    bench.up(family)
    path = bench.store.path(STACK)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_saving_never_leaves_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, secrets = StateStore(tmp_path), StackSecrets(None)
    store.save(STACK, Deployment(), secrets)
    before = store.path(STACK).read_text()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        store.save(STACK, Deployment(metadata={"x": 1}), secrets)
    assert store.path(STACK).read_text() == before


def test_after_an_interrupt_nothing_is_begun_and_the_state_is_whole(bench: Bench) -> None:
    original = bench.cloud._effect

    def interrupted(call: str, context: Any) -> None:
        original(call, context)
        raise UnsupportedByLocalEngine("this")  # ends the whole run, from inside the first effect

    bench.cloud._effect = interrupted  # type: ignore[method-assign]

    def many() -> None:
        for i in range(10):
            Thing(f"t{i}")

    with pytest.raises(UnsupportedByLocalEngine):
        bench.up(many, parallel=1)
    assert len(bench.effects()) == 1
    assert bench.state()["deployment"]["pending_operations"] == []
    bench.cloud._effect = original  # type: ignore[method-assign]
    assert bench.up(many).error is None


def test_a_lost_state_is_not_taken_for_a_new_stack(bench: Bench) -> None:
    bench.up(family)
    path = bench.store.path(STACK)
    path.rename(path.with_suffix(".json.lost"))
    bench.effects()
    for attempt in (bench.up, bench.preview, lambda _: bench.engine().resources(STACK)):
        with pytest.raises(StateUnreadable, match="missing") as error:
            attempt(family)
        assert f"copy {path}.bak back" in error.value.help
        assert "remove the backup" in error.value.help
    assert bench.effects() == []
    assert not path.exists()
    Path(f"{path}.bak").unlink()
    assert bench.preview(family).counts == {"create": 5}, "said to be new"


def test_the_backup_is_of_before_the_run(bench: Bench) -> None:
    def names(path: Path) -> list[str]:
        resources = json.loads(path.read_text())["deployment"]["resources"]
        return [r["urn"].rsplit("::", 1)[-1] for r in resources if "Thing" in r["urn"]]

    def one() -> None:
        Thing("a", source=Thing("b").link)

    backup = Path(f"{bench.store.path(STACK)}.bak")
    bench.up(one)
    assert names(backup) == [], "of a stack that had no state, an empty one"
    before = bench.store.path(STACK).read_bytes()
    assert bench.up(one).changed is False
    assert names(backup) == [], "a run that writes nothing"
    assert bench.destroy().error is None
    assert backup.read_bytes() == before, "many checkpoints later"
    assert names(bench.store.path(STACK)) == []
    assert bench.preview(one).counts == {"create": 3}, "an emptied stack is no lost one"


def test_the_state_of_another_stack_is_refused(bench: Bench) -> None:
    bench.up(family)
    own = bench.store.path(STACK)
    for other in (StackRef("demo", "site-b"), StackRef("other", "site-a")):
        path = bench.store.path(other)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(own.read_bytes())
        for attempt in ("preview", "up", "refresh", "destroy"):
            with pytest.raises(StateUnreadable, match="of another stack") as error:
                getattr(bench.engine(), attempt)(StackRun(other, family))
            assert "urn:pulumi:site-a::demo::" in error.value.message
    assert bench.things() != []


def test_a_passphrase_that_cannot_be_read(bench: Bench) -> None:
    def ask() -> str:
        raise FileNotFoundError(2, "No such file or directory", "/nope")

    engine = LocalEngine(bench.store, partial(only_cloud, bench.cloud), ask)
    run = StackRun(STACK, lambda: Thing("a", password=pulumi.Output.secret("hush-hush")) and None)
    with pytest.raises(PassphraseError, match=r"cannot be read.*/nope") as error:
        engine.up(run)
    assert error.value.exit_code == 11
    assert bench.things() == []
