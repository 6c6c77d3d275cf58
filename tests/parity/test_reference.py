"""A few hundred generated programs and their edits: the local engine against a model of Pulumi's rules."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.parity.model import Model, State
from tests.parity.programs import Program, edited, first_program
from tests.parity.stages import Local, ops

SEEDS, EDITS = 60, 4


@pytest.mark.parametrize("tenth", range(10))
def test_generated_programs_and_edits(tmp_path: Path, tenth: int) -> None:
    for seed in range(tenth * SEEDS // 10, (tenth + 1) * SEEDS // 10):
        chance = random.Random(seed)
        # Sealing a secret takes a million rounds a run: it is in one of ten.
        secrets = seed % 10 == 0
        with Local.open(tmp_path / str(seed)) as local:
            state: State = ()
            abandoned: Counter[str] = Counter()
            program = first_program(chance, secrets=secrets)
            for step in range(1 + EDITS):
                outcome = play(local, state, program, abandoned, f"seed {seed}, step {step}: {program}")
                if outcome is None:
                    break
                state, program = outcome, edited(chance, program, secrets=secrets)


def play(local: Local, state: State, program: Program, abandoned: Counter[str], where: str) -> State | None:
    """Preview and run one program; None after what protection refuses."""
    expected = Model(state, preview=True).run(program)
    seen = local.preview(program)
    if expected.refused:
        assert "Protected" in {f.code for f in seen.failures}, where
    else:
        assert seen.error is None, where
        assert expected.ops == ops(seen), f"preview of {where}"
    expected = Model(state, preview=False).run(program)
    done = local.up(program)
    if expected.refused:
        assert "Protected" in {f.code for f in done.failures}, where
        return None
    assert done.error is None, where
    assert expected.ops == ops(done), where
    abandoned.update(json.dumps(inputs, sort_keys=True) for inputs in expected.abandoned)
    standing = [k.inputs for k in expected.state if k.toy.kind != "Group"]
    assert local.world() == abandoned + Counter(json.dumps(i, sort_keys=True) for i in standing), where
    recorded = [r["urn"] for r in json.loads(local.state_file.read_text())["deployment"]["resources"]]
    urns = [f"urn:pulumi:dev::parity::{known.urn}" for known in expected.state]
    assert sorted(u for u in recorded if "::toy:" in u) == sorted(urns), where
    return expected.state
