"""Pipelines that users copy: they validate and plan every change of a fleet's repository.

The templates are in `templates/ci/`. Their marks are `[[ value ]]` and `[% if %]`, since `{{ }}` means
something to the systems that read the results.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from jinja2 import Environment, StrictUndefined, Template

from fleet.app.init import REPLACE, Placeholder
from fleet.diagnostics.diagnostic import FleetError

EXIT_USAGE: Final = 2


@dataclass(frozen=True)
class System:
    """A system that runs pipelines: where it looks for one, and the template of it."""

    path: str
    template: str
    indent: int
    """Of a step's script, in blanks."""


SYSTEMS: Final = {
    "github": System(".github/workflows/fleet.yml", "github.yml.j2", 10),
    "azure-devops": System("azure-pipelines.yml", "azure-pipelines.yml.j2", 10),
    "gitlab": System(".gitlab-ci.yml", "gitlab-ci.yml.j2", 6),
}

_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_REPOSITORY = re.compile(r"https://[A-Za-z0-9._~:/-]+")

TOOLKIT: Final = ".fleet-toolkit"
"""The folder that a pipeline fetches fleet's own repository into."""


@dataclass(frozen=True)
class GitSource:
    """fleet at one commit of its repository; None where the user has yet to fill it in.

    The commit has the lock of its dependencies, `requirements.lock`, with a hash for each file.
    """

    repository: str | None = None
    commit: str | None = None


@dataclass(frozen=True)
class WheelSource:
    """fleet as a wheel in the user's repository, with its `requirements.lock` in the same folder."""

    path: str

    @property
    def lock(self) -> str:
        """The path of the lock, relative to the repository's root."""
        return (PurePosixPath(self.path).parent / "requirements.lock").as_posix()


Source = GitSource | WheelSource


@dataclass(frozen=True)
class Pipeline:
    """A pipeline to be written: its path below the repository's root, its text, and what to fill in."""

    path: str
    text: str
    placeholders: tuple[Placeholder, ...]


def parse_source(text: str) -> Source:
    """`git+https://HOST/REPOSITORY@COMMIT`, or the path of a wheel. Raises `FleetError` (CIP003).

    A branch or a tag is refused: it may be something else tomorrow.
    """
    if text.startswith("git+"):
        repository, _, commit = text.removeprefix("git+").rpartition("@")
        if not _COMMIT.fullmatch(commit):
            raise _wrong_source(text, "no full commit id behind its last @")
        if not _REPOSITORY.fullmatch(repository) or urlsplit(repository).username is not None:
            raise _wrong_source(text, "not the https address of a repository, without credentials")
        return GitSource(repository, commit)
    path = PurePosixPath(text).as_posix()
    if path.endswith(".whl") and _PATH.fullmatch(path.replace("+", "")):
        return WheelSource(path)
    raise _wrong_source(text, "neither git+https://… nor the relative path of a wheel")


def pipeline(system: str, source: Source, inventory: str = ".", branch: str = "main") -> Pipeline:
    """The pipeline of a system. `inventory` is the folder of fleet.yaml below the repository's root.

    Raises `FleetError`: CIP001 for an unknown system, CIP002 for a path or branch that can't stand in a
    pipeline as it is (only plain characters can: they would be read by YAML and by a shell).
    """
    if system not in SYSTEMS:
        raise FleetError("CIP001", f"no system {system!r} here", f"one of {', '.join(SYSTEMS)}", EXIT_USAGE)
    if inventory != "." and not _PATH.fullmatch(inventory):
        raise _wrong_text("--inventory", inventory)
    if not _BRANCH.fullmatch(branch):
        raise _wrong_text("--branch", branch)
    chosen = SYSTEMS[system]
    wheel = source if isinstance(source, WheelSource) else None
    git = source if isinstance(source, GitSource) else GitSource()
    text = _template(chosen.template).render(
        inventory=inventory,
        branch=branch,
        wheel=wheel.path if wheel else None,
        lock=wheel.lock if wheel else f"{TOOLKIT}/requirements.lock",
        repository=git.repository or "https://git.example/fleet.git",
        repository_remark="" if git.repository else f"  {REPLACE}the repository that fleet comes from",
        commit=git.commit or "0" * 40,
        commit_remark="" if git.commit else f"  {REPLACE}the commit of it that you reviewed",
        install=_indented(_WHEEL if wheel else _GIT, chosen.indent),
    )
    marks = tuple(
        Placeholder(chosen.path, number, line.partition(REPLACE)[2])
        for number, line in enumerate(text.splitlines(), 1)
        if REPLACE in line
    )
    return Pipeline(chosen.path, text, marks)


_WHEEL: Final = """\
python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$FLEET_LOCK"
python -m pip install --quiet --disable-pip-version-check --no-index --no-deps "$FLEET_WHEEL"
"""
_GIT: Final = """\
# What builds the wheel comes by its hash too: the paragraph of setuptools in the lock of fleet's developers.
sed -n '/^setuptools==/,/[^\\\\]$/p' .fleet-toolkit/requirements-dev.lock > fleet-build.lock
python -m pip install --quiet --disable-pip-version-check --require-hashes \\
  -r .fleet-toolkit/requirements.lock -r fleet-build.lock
python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation \\
  ./.fleet-toolkit
"""


def _indented(text: str, blanks: int) -> str:
    return "\n".join(" " * blanks + line for line in text.splitlines())


@cache
def _environment() -> Environment:
    return Environment(
        block_start_string="[%",
        block_end_string="%]",
        variable_start_string="[[",
        variable_end_string="]]",
        comment_start_string="[#",
        comment_end_string="#]",
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - not HTML; what goes in was matched against a list of characters
    )


@cache
def _template(name: str) -> Template:
    text = resources.files("fleet_templates").joinpath("ci", name).read_text(encoding="utf-8")
    return _environment().from_string(text)


def _wrong_source(text: str, why: str) -> FleetError:
    return FleetError(
        "CIP003",
        f"--from {text}: {why}",
        "such as git+https://HOST/fleet.git@ and 40 hex digits, or tools/fleet_toolkit-….whl",
        EXIT_USAGE,
    )


def _wrong_text(option: str, text: str) -> FleetError:
    return FleetError(
        "CIP002",
        f"{option} {text!r} can't stand in a pipeline",
        "letters, digits, `.`, `_`, `-` and `/`, relative to the root of the repository",
        EXIT_USAGE,
    )
