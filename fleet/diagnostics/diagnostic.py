"""`Diagnostic`, the one type for every finding."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from fleet.diagnostics.secret_shapes import without_secrets

Severity = Literal["error", "warning"]

MAX_TEXT = 1000
"""Characters of a message or help; what is longer quotes some value at length, and is cut."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A place in a file. Lines and columns count from 1; the end is exclusive, on the last line."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding.

    `message` is one phrase that makes sense alone; `help` says what to type instead. `source_line` is
    the text of the span's first line, or None when it must not be shown (a secret may stand there).
    `sites` names the sites it concerns; a finding in a shared layer is one diagnostic for all of them.
    What looks like a secret in `message` or `help` is taken out, whichever rule quoted it, and each is
    cut after MAX_TEXT characters.
    """

    code: str
    severity: Severity
    message: str
    span: Span
    help: str | None = None
    source_line: str | None = None
    sites: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", _shown(self.message))
        if self.help is not None:
            object.__setattr__(self, "help", _shown(self.help))

    @property
    def sort_key(self) -> tuple[Span, str, str]:
        """By place, then code, then message: the order in which they are always shown."""
        return (self.span, self.code, self.message)


def _shown(text: str) -> str:
    if len(text) > 10 * MAX_TEXT:  # at a space: half of a secret could not be told
        text = text[: 10 * MAX_TEXT].rpartition(" ")[0] + " …"
    text = without_secrets(text)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def merged(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The diagnostics in order, with findings that differ only in their sites made one.

    A literal secret is one finding too: the first of those at its place, where the model refuses a value that
    a rule knows as a secret.
    """
    by_identity: dict[tuple[Span, str, str], Diagnostic] = {}
    sites: dict[tuple[Span, str, str], set[str]] = {}
    for item in diagnostics:
        key = (item.span, item.code, "" if item.code == "SEC001" else item.message)
        by_identity.setdefault(key, item)
        sites.setdefault(key, set()).update(item.sites)
    return tuple(
        Diagnostic(d.code, d.severity, d.message, d.span, d.help, d.source_line, tuple(sorted(sites[key])))
        for key, d in sorted(by_identity.items())
    )


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether any of them is an error."""
    return any(d.severity == "error" for d in diagnostics)


class FleetError(Exception):
    """An expected failure at an effect's edge: shown as one line with its help, never as a traceback.

    `exit_code` is one of the documented exit codes (docs/cli.md).
    """

    def __init__(self, code: str, message: str, help: str = "", exit_code: int = 1) -> None:  # noqa: A002
        super().__init__(message)
        self.code, self.message, self.help, self.exit_code = code, message, help, exit_code

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross from a pool's processes, and subclasses are made from other arguments."""
        return _restore_error, (type(self), self.args, dict(self.__dict__))


def _restore_error(kind: type[FleetError], args: tuple[Any, ...], state: dict[str, Any]) -> FleetError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error
