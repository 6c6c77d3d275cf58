"""Rules about who may do what, and for how long."""

from tests.unit.rules.cases import FLEET, GRAZ, Case, Cases, Edits, rule_tests

OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
PEOPLE = "9d4b1e77-0000-4000-8000-0000000000dd"
EMERGENCY = "9d4b1e77-0000-4000-8000-0000000000cc"
RUNBOOK = "      runbook: https"


def roles(*given: tuple[str, str, str]) -> Edits:
    """Roles, principals and scopes, given at Graz."""
    text = ", ".join(f"{{role: {role}, principal: {who}, scope: {scope}}}" for role, who, scope in given)
    return {GRAZ: [("azure: {resourceGroup: rg-fleet-graz}", f"azure: {{resourceGroup: rg-fleet-graz, roleAssignments: [{text}]}}")]}  # fmt: skip


def hours(number: int) -> Edits:
    return {FLEET: [(RUNBOOK, f"      hours: {number}\n{RUNBOOK}")]}


CASES = {
    "SEC005": Cases(
        fires=[Case(roles((role, PEOPLE, scope)), f"sites/graz.yaml:{{roleAssignments}} the role {name} is given at the {shown}")
               for role, name, scope, shown in (
                   (OWNER, "Owner", "resource-group", "resource group"),
                   ("b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor", "cluster", "cluster"),
                   ("18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", "User Access Administrator", "key-vault", "key vault"),
                   ("f58310d9-a9f6-439a-9e8d-f62e7b41a168", "Role Based Access Control Administrator", "cluster", "cluster"))],
        near=[roles((SECRETS_USER, PEOPLE, "key-vault")), roles((SECRETS_USER, OWNER, "key-vault"))],
    ),
    "SEC006": Cases(
        fires=[Case(roles((SECRETS_USER, PEOPLE, "cluster"), (SECRETS_USER, EMERGENCY, "cluster"), (SECRETS_USER, PEOPLE, "cluster")),
                    "sites/graz.yaml:{roleAssignments} this role is given twice: it is assignment 1 already", also=("SEC007",))],
        near=[roles((SECRETS_USER, PEOPLE, "cluster"), (SECRETS_USER, PEOPLE, "key-vault"))],
    ),
    "SEC007": Cases(
        fires=[Case({FLEET: [("adminGroups: [9d4b1e77-0000-4000-8000-0000000000bb]", f"adminGroups: [{EMERGENCY}]")]},
                    "fleet.yaml:{group:} the group for emergencies administers the cluster at all times"),
               Case(roles((SECRETS_USER, EMERGENCY, "cluster")), "fleet.yaml:{group:} the group for emergencies has a role at all times")],
        near=[{FLEET: [("adminGroups: [9d4b1e77-0000-4000-8000-0000000000bb]", f"adminGroups: [{PEOPLE}]")]},
              roles((SECRETS_USER, PEOPLE, "cluster"))],
    ),
    "SEC008": Cases(fires=[Case(hours(9), "fleet.yaml:{hours: 9} emergency access lasts 9 hours", help="'hours: 8'")], near=[hours(8)]),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
