"""Rules about who may do what, and for how long."""

from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.source import Path
from fleet.model.azure_local import RoleAssignment


def _privileged(site: Site, _: Inventory) -> Iterator[Finding]:
    for number, assignment in enumerate(site.spec.azure.role_assignments):
        name = catalog.operating().privileged_roles.get(assignment.role)
        if name is not None:
            yield Finding(
                ("azure", "roleAssignments", number, "role"),
                f"the role {name} is given at the {assignment.scope.replace('-', ' ')}",
                "give the role that does what is needed, such as Key Vault Secrets User, and no more",
            )


def _same_twice(site: Site, _: Inventory) -> Iterator[Finding]:
    first: dict[RoleAssignment, int] = {}
    for number, assignment in enumerate(site.spec.azure.role_assignments):
        before = first.setdefault(assignment, number)
        if before != number:
            yield Finding(
                ("azure", "roleAssignments", number),
                f"this role is given twice: it is assignment {before + 1} already",
                "take one out: Azure refuses the second",
            )


def _standing_access(site: Site, _: Inventory) -> Iterator[Finding]:
    emergency = site.spec.operations.break_glass
    if emergency is None:
        return
    path: Path = ("operations", "breakGlass", "group")
    if emergency.group in site.spec.kubernetes.admin_groups:
        yield Finding(
            path,
            "the group for emergencies administers the cluster at all times",
            "a group of its own, that is in no 'kubernetes.adminGroups'",
        )
    if any(emergency.group == assignment.principal for assignment in site.spec.azure.role_assignments):
        yield Finding(
            path,
            "the group for emergencies has a role at all times",
            "take its 'azure.roleAssignments' out: access is given when it is needed",
        )


def _ends(site: Site, _: Inventory) -> Iterator[Finding]:
    emergency, most = site.spec.operations.break_glass, catalog.operating().break_glass_hours_max
    if emergency is not None and emergency.hours > most:
        yield Finding(
            ("operations", "breakGlass", "hours"),
            f"emergency access lasts {emergency.hours} hours",
            f"'hours: {most}' at most: who needs longer asks again",
        )


RULES = (
    Rule(
        code="SEC005",
        summary="no role is given that may do everything or give roles",
        source="Azure built-in roles, category Privileged (operating.yaml); requirements B14, B16",
        severity="warning",
        check_site=_privileged,
    ),
    Rule(
        code="SEC006",
        summary="a role is given once to the same principal at the same scope",
        source='facts 1.1: "Role assignment already exists"',
        check_site=_same_twice,
    ),
    Rule(
        code="SEC007",
        summary="the group for emergencies has no standing access",
        source="requirement C3: break-glass has an expiry",
        severity="warning",
        check_site=_standing_access,
    ),
    Rule(
        code="SEC008",
        summary="emergency access ends within a working day",
        source="requirement C3: break-glass has an expiry; how soon is a judgement (operating.yaml)",
        severity="warning",
        check_site=_ends,
    ),
)
