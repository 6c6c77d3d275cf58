"""Which fleet this is, to the byte: what is planned by one version is not valid for another."""

import hashlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from fleet.diagnostics.diagnostic import FleetError

PACKAGES = ("fleet", "fleet_stacks", "fleet_templates")
LIBRARIES = (
    "pulumi", "pulumi-azure-native", "pulumi-kubernetes", "protobuf", "grpcio",
    "jinja2", "markupsafe", "pyyaml", "pydantic", "pydantic-core", "cryptography",
)  # fmt: skip
"""What a plan is worked out with; known by their versions, for they are not ours to change."""


@cache
def toolkit_digest() -> str:
    """sha256 over the code, catalogue and templates of this fleet and the versions of its libraries.

    It is the same on every machine that has the same fleet, wherever it is installed. Raises `FleetError`
    (ENG001) when a part of fleet can't be read.
    """
    return digest_of(PACKAGES, LIBRARIES)


def digest_of(packages: Sequence[str], libraries: Sequence[str]) -> str:
    """`toolkit_digest` of these packages (their files) and libraries (their versions)."""
    digest = hashlib.sha256()
    digest.update(".".join(map(str, sys.version_info[:3])).encode())
    for name in libraries:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = "none"
        digest.update(f"\0{name} {version}".encode())
    for package in packages:
        for name, path in _files(package):
            try:
                content = path.read_bytes()
            except OSError as error:
                raise FleetError(
                    "ENG001", f"a part of fleet can't be read: {path}: {error.strerror}"
                ) from error
            digest.update(f"\0{package}/{name}\0{len(content)}\0".encode() + content)
    return "sha256:" + digest.hexdigest()


def _files(package: str) -> Iterator[tuple[str, Path]]:
    """A package's files by their names in it, sorted; not the compiled ones and the pages for people."""
    spec = importlib.util.find_spec(package)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(names):
                if not name.endswith((".pyc", ".md")):
                    path = Path(folder, name)
                    yield path.relative_to(root).as_posix(), path
