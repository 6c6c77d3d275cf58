"""Write down what the Pulumi CLI that is on PATH does: `python -m tests.parity.record [PROGRAMS]`.

The answers go to tests/parity/recorded.json; test_recorded.py holds the local engine against them where no CLI is.
Generated programs that are recorded already and did not change are left alone, so that it can be run in parts.
"""

import hashlib
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.parity.cases import CASES, DIFFERENT, play
from tests.parity.programs import Program, edited, first_program
from tests.parity.stages import NO_CLI, Cli, cli_missing

FILE = Path(__file__).with_name("recorded.json")
EDITS = 4


def sequence(seed: int) -> Iterator[Program]:
    """A generated program and its edits."""
    chance = random.Random(seed)
    # Sealing a secret takes a million rounds a run: it is in one of ten.
    secrets = seed % 10 == 0
    program = first_program(chance, secrets=secrets)
    yield program
    for _ in range(EDITS):
        program = edited(chance, program, secrets=secrets)
        yield program


def digest(program: Program) -> str:
    """Tells whether a program is still the one that was recorded."""
    return hashlib.sha256(repr(program).encode()).hexdigest()[:16]


def answers(programs: Iterator[Program]) -> list[dict[str, Any]]:
    """What the CLI does with one program after the other, up to the first that fails."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        cli = Cli(Path(folder) / "cli")
        for program in programs:
            seen = play(cli, program)
            found.append({"program": digest(program), **asdict(seen)})
            if seen.failed:
                break
    return found


def main(programs: int) -> None:
    known = json.loads(FILE.read_text()) if FILE.exists() else {"cases": {}, "generated": {}}
    version = subprocess.run(["pulumi", "version"], capture_output=True, text=True, check=True).stdout.strip()
    known = {"pulumi": version, "cases": known["cases"], "generated": known["generated"]}
    todo: list[tuple[str, str, list[Program]]] = [
        ("cases", name, list(case)) for name, case in (CASES | DIFFERENT).items()
    ]
    todo += [("generated", str(seed), list(sequence(seed))) for seed in range(programs)]
    for kind, name, all_of_them in todo:
        before = known[kind].get(name, [])
        if before and [a["program"] for a in before] == [digest(p) for p in all_of_them[: len(before)]]:
            continue
        known[kind][name] = answers(iter(all_of_them))
        FILE.write_text(json.dumps(known, indent=1) + "\n")
        print(kind, name, flush=True)


if __name__ == "__main__":
    if cli_missing():
        sys.exit(NO_CLI)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
