"""The same programs through the local engine and through the Pulumi CLI: operations, differences, world and state.

Runs where a `pulumi` is on PATH, on loopback and in temporary folders. FLEET_PARITY_PROGRAMS says how many
generated programs (default 4; each takes the CLI about a minute).
"""

import gc
import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parity.programs import Program, Toy, edited, first_program
from tests.parity.stages import NO_CLI, PASSPHRASE, Cli, Local, cli_missing, ops, paths, settled

pytestmark = [
    pytest.mark.skipif(cli_missing(), reason=NO_CLI),
    # Pulumi's SDK leaves the event loop open in which a program failed, and its sockets with it.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

PROGRAMS = int(os.environ.get("FLEET_PARITY_PROGRAMS", "4"))
EDITS = 3


@pytest.fixture(autouse=True)
def _loops_are_collected_here() -> Iterator[None]:
    """Not in a later test, where a warning about one would be an error."""
    yield
    gc.collect()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    with Local.open(tmp_path / "local") as stage:
        yield stage


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "cli")


def pulumi(cli: Cli, *arguments: str) -> str:
    done = subprocess.run(
        ["pulumi", *arguments, "--stack", "dev", "--non-interactive"],
        cwd=cli.folder / "work",
        env={**os.environ, **cli.environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def exported(cli: Cli) -> list[dict[str, Any]]:
    return settled(json.loads(pulumi(cli, "stack", "export", "--show-secrets"))["deployment"])


def recorded(local: Local) -> list[dict[str, Any]]:
    """The local engine's state, its secrets opened as `--show-secrets` shows them."""
    from fleet.engine.local.secrets import StackSecrets
    from fleet.engine.local.values import SealedSecret

    deployment = json.loads(local.state_file.read_text())["deployment"]
    salt = deployment.get("secrets_providers", {}).get("state", {}).get("salt")
    secrets = StackSecrets(lambda: PASSPHRASE, salt)

    def shown(value: Any) -> Any:
        if isinstance(value, dict) and "ciphertext" in value:
            plain = secrets.open(SealedSecret(value["ciphertext"])).plain
            return {k: v for k, v in value.items() if k != "ciphertext"} | {"plaintext": json.dumps(plain)}
        if isinstance(value, dict):
            return {key: shown(item) for key, item in value.items()}
        return [shown(item) for item in value] if isinstance(value, list) else value

    return settled(shown(deployment))


def by_urn(resources: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {resource["urn"]: resource for resource in resources}


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_generated_programs(local: Local, cli: Cli, seed: int) -> None:
    chance = random.Random(seed)
    secrets = seed % 2 == 0
    program = first_program(chance, secrets=secrets)
    for step in range(1 + EDITS):
        where = f"seed {seed}, step {step}: {program}"
        ours, theirs = local.preview(program), cli.preview(program)
        assert bool(ours.error) == bool(theirs.error), where
        if not ours.error:
            assert ops(ours) == ops(theirs), f"preview of {where}"
            detailed = {t.name for t in program if t.kind == "Detailed"}
            for name in paths(theirs).keys() & detailed:
                assert paths(ours)[name] == paths(theirs)[name], f"differences of {name}, {where}"
        ours, theirs = local.up(program), cli.up(program)
        assert bool(ours.error) == bool(theirs.error), where
        if ours.error:
            return
        assert ops(ours) == ops(theirs), where
        assert local.world() == cli.world(), where
        assert by_urn(recorded(local)) == by_urn(exported(cli)), where
        program = edited(chance, program, secrets=secrets)


PAIR: Program = (
    Toy("a", props={"name": "a-one", "size": 1, "serial": "s1"}),
    Toy("g", "Group"),
    Toy("b", "Detailed", parent="g", source="a", props={"name": "b-one"}, password="hunter-one"),
)


def test_a_state_of_the_local_engine_is_imported(local: Local, cli: Cli, tmp_path: Path) -> None:
    """`pulumi stack import` takes it, and the CLI then finds nothing to do, secrets included."""
    cli.up(())
    assert local.up(PAIR).error is None
    for toy in (local.folder / "world").iterdir():
        (cli.folder / "world" / toy.name).write_bytes(toy.read_bytes())
    pulumi(cli, "stack", "import", "--file", str(local.state_file))
    assert by_urn(exported(cli)) == by_urn(recorded(local))
    assert set(ops(cli.preview(PAIR)).values()) == {"same"}
    result = cli.up(PAIR[:1])
    assert (result.error, ops(result)) == (None, {"a": "same", "b": "delete", "g": "delete"})


def test_a_state_of_the_cli_is_taken_up_by_the_local_engine(local: Local, cli: Cli) -> None:
    assert cli.up(PAIR).error is None
    for toy in (cli.folder / "world").iterdir():
        (local.folder / "world" / toy.name).write_bytes(toy.read_bytes())
    local.state_file.parent.mkdir(parents=True)
    local.state_file.write_text(pulumi(cli, "stack", "export"))
    assert set(ops(local.preview(PAIR)).values()) == {"same"}
    assert set(ops(local.up(PAIR)).values()) == {"same"}
