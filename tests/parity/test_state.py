"""Pulumi's own types, schema, URN parser and crypter on the states that the local engine writes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.parity.judge import ask
from tests.parity.programs import Toy
from tests.parity.stages import PASSPHRASE, Local

PROGRAM = (
    Toy("g", "Group"),
    Toy("a", parent="g", props={"name": "a-one", "serial": "s1", "tags": {"deep": [{"x": 1}]}}, protect=True),
    Toy("b", "Detailed", source="a", like="a", props={"name": "b-one"}, password="hunter-one", retain=True),
)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with Local.open(tmp_path / "local") as local:
        assert local.up(PROGRAM).error is None
        return local.state_file


def test_pulumi_reads_what_the_local_engine_writes(state: Path) -> None:
    judged = ask("state", str(state), PULUMI_CONFIG_PASSPHRASE=PASSPHRASE)
    assert judged["secrets"] == 2  # the input, and the output that echoes it
    by_name = {r["urn"].rsplit("::", 1)[-1]: r for r in judged["resources"]}
    assert by_name["b"]["inputs"]["password"] == {"secret": "hunter-one"}
    assert by_name["b"]["retainOnDelete"] is by_name["a"]["protect"] is True
    assert by_name["a"]["outputs"]["tags"] == {"deep": [{"x": 1}]}
    written = json.loads(state.read_text())["deployment"]["resources"]
    assert [r["urn"] for r in judged["resources"]] == [r["urn"] for r in written]
    for theirs, ours in zip(judged["resources"], written, strict=True):
        # What Pulumi's types give back is what was written: nothing is lost or renamed on the way.
        assert theirs | {"inputs": 0, "outputs": 0} == ours | {"inputs": 0, "outputs": 0}


def broken(state: Path, spoil: Any) -> str:
    document = json.loads(state.read_text())
    spoil(document["deployment"])
    state.write_text(json.dumps(document))
    with pytest.raises(AssertionError) as error:
        ask("state", str(state), PULUMI_CONFIG_PASSPHRASE=PASSPHRASE)
    return str(error.value)


def test_the_judge_is_no_rubber_stamp(state: Path) -> None:
    whole = state.read_text()
    for spoil, complaint in (
        (lambda d: d["manifest"].update(magic="x"), "magic"),
        (lambda d: d["resources"].reverse(), "does not stand before"),
        (lambda d: d["resources"][-1].update(surprise=1), "surprise"),
        (lambda d: d["resources"][-1].update(type="toy:index:Other"), "has the type"),
        (lambda d: d["resources"][-1].update(urn="no urn"), "urn"),
        (lambda d: d["resources"][-1].pop("id"), "has no id"),
        (lambda d: d["resources"].append(d["resources"][-1]), "twice"),
        (lambda d: d.pop("secrets_providers"), "no salt"),
    ):
        state.write_text(whole)
        assert complaint in broken(state, spoil)


def test_another_passphrase_opens_nothing(state: Path) -> None:
    with pytest.raises(AssertionError, match="passphrase is not this state's"):
        ask("state", str(state), PULUMI_CONFIG_PASSPHRASE="another")
