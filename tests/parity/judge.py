"""Pulumi's own Go SDK as a judge: the program of tests/conformance/pulumi_sdk, built once a version of it."""

import hashlib
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

MODULE = Path(__file__).parents[1] / "conformance" / "pulumi_sdk"


@cache
def program() -> Path:
    """The judge; built first when it is not there. Skips the test where there is no Go to build it."""
    digest = hashlib.sha256()
    for file in sorted(MODULE.iterdir()):
        digest.update(file.name.encode() + file.read_bytes())
    tools = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fleet" / "tools"
    built = tools / digest.hexdigest()[:16] / "pulumi-judge"
    if built.exists():
        return built
    go = shutil.which("go")
    if go is None:
        pytest.skip("pulumi-judge is not built yet, and there is no Go on PATH to build it (tests/parity)")
    built.parent.mkdir(parents=True, exist_ok=True)
    unfinished = built.with_name(f"{built.name}.{os.getpid()}")
    nice = ["nice"] if shutil.which("nice") else []
    command = [*nice, go, "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", unfinished, "."]
    subprocess.run(command, cwd=MODULE, check=True)
    unfinished.replace(built)
    return built


def ask(*arguments: str, question: Any = None, **environment: str) -> Any:
    """The judge's answer. Raises `AssertionError` with its complaint."""
    done = subprocess.run(
        [program(), *arguments],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


if __name__ == "__main__":
    print(program())
