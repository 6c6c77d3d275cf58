"""What a policy is. Pure: `pack.py` hands these to Pulumi."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fleet.diagnostics.diagnostic import Severity
from fleet.inventory.rule import Rule
from fleet_validators import RULES

from .declared import Declared

Settings = Mapping[str, Any]
"""What `--policy-pack-config` says for a policy beside its enforcement level."""


@dataclass(frozen=True, kw_only=True)
class _Policy:
    name: str
    """By which `--policy-pack-config` sets it; begins with a rule's code where it carries a rule."""
    summary: str
    """What holds where the policy is kept."""
    source: str
    """Where the limit that it checks was read."""
    help: str
    """What to write instead."""
    severity: Severity = "error"
    """A violation of an error stops Pulumi; one of a warning is shown."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """JSON schemas of its settings, with their defaults."""


@dataclass(frozen=True, kw_only=True)
class ResourcePolicy(_Policy):
    """A policy about each resource alone: `check` yields what is wrong, in one phrase and without a secret.

    It is asked for resources of `arm_type` (Azure's, in lower case), or, where that is empty, for all.
    """

    check: Callable[[Declared, Settings], Iterable[str]]
    arm_type: str = ""

    def violations(self, resource: Declared, settings: Settings | None = None) -> list[str]:
        """What is wrong with a resource."""
        if self.arm_type and resource.arm_type != self.arm_type:
            return []
        return list(self.check(resource, settings or {}))


@dataclass(frozen=True, kw_only=True)
class StackPolicy(_Policy):
    """A policy about all resources of a stack: `check` yields resources and what is wrong with each."""

    check: Callable[[Sequence[Declared]], Iterable[tuple[Declared, str]]]


@cache
def _rules() -> Mapping[str, Rule]:
    return {rule.code: rule for rule in RULES}


def carried(
    code: str,
    about: str,
    check: Callable[[Declared, Settings], Iterable[str]],
    help: str,  # noqa: A002 -- as in a finding
    *,
    arm_type: str = "",
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> ResourcePolicy:
    """The policy that carries a validators' rule: its text, source and severity are the rule's own.

    Raises KeyError for a code that no rule has.
    """
    rule = _rules()[code]
    return ResourcePolicy(
        name=f"{code}-{about}",
        summary=rule.summary,
        source=rule.source,
        severity=rule.severity,
        help=help,
        check=check,
        arm_type=arm_type,
        settings=settings or {},
    )


def carried_by_stack(
    code: str,
    about: str,
    check: Callable[[Sequence[Declared]], Iterable[tuple[Declared, str]]],
    help: str,  # noqa: A002 -- as in a finding
) -> StackPolicy:
    """As `carried`, about a whole stack."""
    rule = _rules()[code]
    return StackPolicy(
        name=f"{code}-{about}",
        summary=rule.summary,
        source=rule.source,
        severity=rule.severity,
        help=help,
        check=check,
    )
