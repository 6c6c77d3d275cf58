"""Kubernetes' own programs, built from source by the Go module in `tools/`, once for each version of it.

No registry that this project uses serves them as programs. `go` builds what `tools/go.mod` pins (checked
against `tools/go.sum`); the result lies in `~/.cache/fleet/tools/<digest of both files>/`, and is built again only
when a version changes.
"""

import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parent / "tools"
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kustomize": "sigs.k8s.io/kustomize/kustomize/v5",
}


@cache
def binary(name: str) -> Path:
    """The program; built first when it is not there. Skips the test where there is no Go to build it."""
    digest = hashlib.sha256((MODULE / "go.mod").read_bytes() + (MODULE / "go.sum").read_bytes()).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = cache / "fleet" / "tools" / digest[:16] / name
    if program.exists():
        return program
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"{name} is not built yet, and there is no Go on PATH to build it (tests/conformance)")
    program.parent.mkdir(parents=True, exist_ok=True)
    unfinished = program.with_name(f"{name}.{os.getpid()}")
    subprocess.run(
        [go, "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", unfinished, PACKAGES[name]],
        cwd=MODULE,
        check=True,
    )
    unfinished.replace(program)
    return program


if __name__ == "__main__":
    for each in PACKAGES:
        print(binary(each))
