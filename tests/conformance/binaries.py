"""Kubernetes' own programs, KWOK and Flux's kustomize-controller, built from source by the Go modules beside this file, once a version.

No registry that this project uses serves them as programs. `go` builds what a module's `go.mod` pins (checked
against its `go.sum`); the result lies in `~/.cache/fleet/tools/<digest of the module's files>/`, and is built again only
when a version changes. KWOK has a module of its own: it does not compile against the libraries of the Kubernetes
that is pinned in `tools/`. So has Flux's kustomize-controller (its source-controller is not to be had this way: a
library of it is on no module proxy).
"""

import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PACKAGES = {
    "etcd": ("tools", "go.etcd.io/etcd/server/v3"),
    "kube-apiserver": ("tools", "k8s.io/kubernetes/cmd/kube-apiserver"),
    "kube-controller-manager": ("tools", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    "kube-scheduler": ("tools", "k8s.io/kubernetes/cmd/kube-scheduler"),
    "kustomize": ("tools", "sigs.k8s.io/kustomize/kustomize/v5"),
    "kwok": ("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    "kustomize-controller": ("flux", "github.com/fluxcd/kustomize-controller"),
    "otelcol": ("collector", "."),
}
"""Each program's module, a folder beside this file, and its package."""


@cache
def binary(name: str) -> Path:
    """The program; built first when it is not there. Skips the test where there is no Go to build it."""
    folder, package = PACKAGES[name]
    module = HERE / folder
    program = _cache(module) / name
    if program.exists():
        return program
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"{name} is not built yet, and there is no Go on PATH to build it (tests/conformance)")
    program.parent.mkdir(parents=True, exist_ok=True)
    unfinished = program.with_name(f"{name}.{os.getpid()}")
    # Politely: it may take minutes of all processors.
    nice = ["nice"] if shutil.which("nice") else []
    subprocess.run(
        [*nice, go, "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", unfinished, package],
        cwd=module,
        check=True,
    )
    unfinished.replace(program)
    return program


def _cache(module: Path) -> Path:
    files = [module / "go.mod", module / "go.sum", *sorted(module.glob("*.go"))]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fleet" / "tools" / digest[:16]


if __name__ == "__main__":
    for each in PACKAGES:
        print(binary(each))
