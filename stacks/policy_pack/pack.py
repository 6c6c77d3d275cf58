"""The policy pack as Pulumi's own library serves it; the policies themselves are in the modules beside."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi_policy
from pulumi_policy.proxy import UnknownValueError

from fleet.diagnostics.secret_shapes import without_secrets

from . import azure_policies, kubernetes_policies, stack_policies
from .declared import UNKNOWN, Declared
from .policy import ResourcePolicy, StackPolicy

NAME = "fleet"
"""The pack's name, in `--policy-pack-config` files and in what Pulumi prints."""

_LEVELS = {
    "error": pulumi_policy.EnforcementLevel.MANDATORY,
    "warning": pulumi_policy.EnforcementLevel.ADVISORY,
}
_RESOURCE_POLICIES = (*azure_policies.POLICIES, *kubernetes_policies.POLICIES)


def serve() -> None:
    """Serve the policies to the engine that started this process; returns when it is interrupted."""
    pulumi_policy.PolicyPack(
        NAME,
        [*map(_resource_policy, _RESOURCE_POLICIES), *map(_stack_policy, stack_policies.POLICIES)],
        pulumi_policy.EnforcementLevel.MANDATORY,
    )


def _resource_policy(policy: ResourcePolicy) -> pulumi_policy.Policy:
    def validate(
        args: pulumi_policy.ResourceValidationArgs, report_violation: pulumi_policy.ReportViolation
    ) -> None:
        resource = Declared(args.resource_type, args.name, _plain(args.props), args.opts.protect, args.urn)
        for violation in policy.violations(resource, args.get_config()):
            report_violation(without_secrets(f"{violation}; {policy.help}"), None)

    return pulumi_policy.ResourceValidationPolicy(validate=validate, **_described(policy))


def _stack_policy(policy: StackPolicy) -> pulumi_policy.Policy:
    def validate(
        args: pulumi_policy.StackValidationArgs, report_violation: pulumi_policy.ReportViolation
    ) -> None:
        resources = [
            Declared(r.resource_type, r.name, _plain(r.props), r.opts.protect, r.urn) for r in args.resources
        ]
        for resource, violation in policy.check(resources):
            report_violation(without_secrets(f"{violation}; {policy.help}"), resource.urn)

    return pulumi_policy.StackValidationPolicy(validate=validate, **_described(policy))


def _described(policy: ResourcePolicy | StackPolicy) -> dict[str, Any]:
    schemas = {name: dict(schema) for name, schema in policy.settings.items()}
    return {
        "name": policy.name,
        "description": f"{policy.summary} ({policy.source})",
        "enforcement_level": _LEVELS[policy.severity],
        "config_schema": pulumi_policy.PolicyConfigSchema(schemas) if schemas else None,
        "remediation_steps": policy.help,
    }


def _plain(value: Any) -> Any:
    """A value out of Pulumi's wrapping, which raises where an unknown is touched."""
    if isinstance(value, Mapping):
        return {key: _plain_at(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain_at(value, number) for number in range(len(value))]
    return value


def _plain_at(container: Any, key: Any) -> Any:
    try:
        return _plain(container[key])
    except UnknownValueError:
        return UNKNOWN
