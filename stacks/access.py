"""`SiteAccess`: the roles that the inventory gives to people and services (facts 1.1, requirement B16)."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure_native

from fleet.model.azure_local import RoleAssignment
from fleet.model.site import SiteSpec

from . import names


@dataclass(frozen=True)
class SiteAccessArgs:
    """Whose roles, and by scope (`RoleAssignment.scope`) the resource that must be there first."""

    spec: SiteSpec
    scopes: Mapping[str, pulumi.Resource]


class SiteAccess(pulumi.ComponentResource):
    """`azure.roleAssignments`. One that leaves the inventory is taken away in Azure too.

    The roles of whoever runs this program are not checked: Azure refuses by name what is missing, and
    docs/pulumi.md lists what is needed.
    """

    def __init__(self, name: str, args: SiteAccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fleet:azure:SiteAccess", name, None, opts)
        for logical_name, assignment in role_assignments(args.spec).items():
            scope, definition = _scope(args.spec, assignment), _definition(args.spec, assignment)
            azure_native.authorization.RoleAssignment(
                logical_name,
                role_assignment_name=_guid(args.spec, assignment),
                # Its type is left to Azure: the inventory doesn't say whether it is a group or a service.
                principal_id=assignment.principal,
                role_definition_id=definition,
                scope=scope,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[args.scopes[assignment.scope]]),
            )
        self.register_outputs({})


def role_assignments(spec: SiteSpec) -> dict[str, RoleAssignment]:
    """The inventory's assignments by logical name, which says the scope and depends on all three parts."""
    return {f"access-{item.scope}-{_guid(spec, item)}": item for item in spec.azure.role_assignments}


def _guid(spec: SiteSpec, assignment: RoleAssignment) -> str:
    scope, definition = _scope(spec, assignment), _definition(spec, assignment)
    return names.role_assignment_name(scope, assignment.principal, definition)


def _definition(spec: SiteSpec, assignment: RoleAssignment) -> str:
    return names.role_definition_id(spec, assignment.role)


def _scope(spec: SiteSpec, assignment: RoleAssignment) -> str:
    match assignment.scope:
        case "resource-group":
            return names.resource_group_id(spec)
        case "cluster":
            return names.cluster_id(spec)
        case "key-vault":
            return names.key_vault_id(spec)
