"""Taking over a site: what counts as the same, what is refused, and which names are kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest

from fleet.adapters.arm_errors import ArmError
from fleet.app.adopt import nobodys
from fleet.diagnostics.diagnostic import FleetError
from fleet.engine.adoption import _other_names, taken_over
from fleet.engine.local.checkpoint import Deployment, ResourceState
from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.store import StateStore
from fleet.engine.local.values import Secret
from fleet.plan.adoption import Adoptee, Adoption, Difference, Standing, as_azure_has, refusal, secret_paths
from fleet.ports.engine import StackRef, StackRun
from fleet.sandbox.adopting_provider import AdoptingProvider, Sighting, Sightings
from fleet_stacks.adoption import AdoptedRole, adopted_file, adopted_text, keep_names, read_adopted
from fleet_stacks.errors import StackError

ID = "/subscriptions/7c1d9a52-0000-4000-8000-0000000000f1/resourceGroups/rg/providers/X.Y/z/one"
GUID, OTHER = "0b0a0c0d-1111-4222-8333-00000000000a", "0b0a0c0d-1111-4222-8333-00000000000b"


def is_secret(value: Any) -> bool:
    return isinstance(value, Secret)


def has(said: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    return as_azure_has(said, there, ("name",), is_secret)


@pytest.mark.parametrize(
    ("said", "there"),
    [
        ({"location": "westeurope"}, {"location": "West Europe"}),
        ({"a": ID}, {"a": ID.upper().replace("/SUBSCRIPTIONS/", "/subscriptions/")}),
        ({"tenantId": GUID}, {"tenantId": GUID.upper()}),
        ({"vlanId": "711"}, {"vlanId": 711}),
        ({"a": {"b": 1}}, {"a": {"b": 1, "filledIn": True}}),
        ({"a": "", "b": [], "c": {"d": False, "e": {}}, "f": 0}, {}),
        (
            {"a": [{"name": "x", "v": 1}, {"name": "y", "v": 2}]},
            {"a": [{"name": "Y", "v": 2}, {"name": "X", "v": 1}]},
        ),
        ({"name": "one"}, {"name": "another"}),
        ({"properties": {"value": Secret("s")}}, {"properties": {}}),
        ({"value": Secret("s")}, {"value": ""}),
        ({"tags": {"a": "b"}}, {"tags": {"a": "b"}}),
    ],
)
def test_what_means_the_same_stays_as_said(said: dict[str, Any], there: dict[str, Any]) -> None:
    result = has(said, there)
    if "a" in said and isinstance(said["a"], list) and said["a"]:
        assert [item["v"] for item in result["a"]] == [1, 2]
    else:
        assert result == said


@pytest.mark.parametrize(
    ("said", "there", "result"),
    [
        ({"location": "westeurope"}, {"location": "northeurope"}, {"location": "northeurope"}),
        ({"a": True}, {"a": 1}, {"a": 1}),
        ({"a": True}, {"a": False}, {"a": False}),
        ({"a": True}, {}, {}),
        ({"a": "x", "b": {"c": 2}}, {"a": "X", "b": {"c": 3, "d": 4}}, {"a": "X", "b": {"c": 3}}),
        ({"a": [1, 2]}, {"a": [2, 1]}, {"a": [2, 1]}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 2]}),
        ({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
        ({"tags": {"a": "b"}}, {"tags": {"a": "b", "owner": "me"}}, {"tags": {"a": "b", "owner": "me"}}),
        ({"p": {"nodeLabels": {}}}, {"p": {"nodeLabels": {"x": "y"}}}, {"p": {"nodeLabels": {"x": "y"}}}),
        ({"a": 1}, {"a": None}, {}),
    ],
)
def test_what_differs_is_as_azure_has_it(
    said: dict[str, Any], there: dict[str, Any], result: dict[str, Any]
) -> None:
    assert has(said, there) == result


def test_secrets_are_found_wherever_they_are() -> None:
    said = {"a": {"b": Secret("x")}, "c": [1, {"d": Secret("y")}], "e": 1}
    assert secret_paths(said, is_secret) == ("a.b", "c[1].d")


def standing(*words: Standing) -> Adoption:
    found = tuple(Adoptee(f"r{n}", "t", ID, word) for n, word in enumerate(words))
    return Adoption("graz", found)


def test_a_replacement_is_refused_whatever_is_accepted() -> None:
    adoption = standing("same", "replace")
    for accept in (True, False):
        told = refusal(adoption, accept_differences=accept)
        assert told is not None and "delete and make again: r1" in told


def test_differences_are_for_a_person_to_accept() -> None:
    told = refusal(standing("same", "differs", "create"), accept_differences=False)
    assert told is not None and "would change: r1; write" in told
    assert refusal(standing("same", "differs", "create"), accept_differences=True) is None
    assert refusal(standing("same", "create", "owned"), accept_differences=False) is None
    assert standing("same", "owned").clean and not standing("create").clean
    stays = Adoptee("r", "t", ID, "same", (Difference("a", 1, 2, stays=True),))
    assert refusal(Adoption("graz", (stays,)), accept_differences=False) is None


def test_strangers_are_what_no_program_has() -> None:
    group = "/subscriptions/s/resourceGroups/rg/providers"
    there: list[dict[str, Any]] = [
        {"id": f"{group}/Microsoft.KeyVault/vaults/Mine"},
        {"id": f"{group}/Microsoft.KeyVault/vaults/stranger", "tags": None},
        {"id": f"{group}/Microsoft.KeyVault/vaults/linz", "tags": {"managed-by": "fleet", "site": "linz"}},
        {"id": f"{group}/Microsoft.HybridCompute/machines/N1"},
        {"id": f"{group}/Microsoft.HybridCompute/machines/n9"},
        {"id": f"{group}/Microsoft.ResourceConnector/appliances/graz-arcbridge"},
    ]
    there += ["junk", None, 5]  # type: ignore[list-item]
    declared = {f"{group}/Microsoft.KeyVault/vaults/mine".lower()}
    found = nobodys(there, "graz", declared, {"n1"})
    assert [resource_id.rpartition("/")[2] for resource_id in found] == ["n9", "stranger"]


def state(name: str, *needs: str) -> ResourceState:
    urns = [f"urn:{need}" for need in needs]
    return ResourceState(f"urn:{name}", "t", True, dependencies=urns, property_dependencies={"p": urns})


def test_what_is_missing_leaves_no_trace_and_what_is_owned_stays() -> None:
    owned = state("a")
    owned.inputs = {"v": "recorded"}
    seen = {f"urn:{name}": Sighting(f"urn:{name}", ID, {"v": 1}, {"v": 2}) for name in "ac"}
    seen["urn:b"] = Sighting("urn:b", ID, {}, None)
    whole = Deployment([state("a"), state("b", "a"), state("c", "a", "b")])
    result = taken_over(Deployment([owned]), whole, seen)
    assert [resource.urn for resource in result.resources] == ["urn:a", "urn:c"]
    assert result.resources[0] is owned
    assert result.resources[1].inputs == {"v": 2}
    assert result.resources[1].references == {"urn:a"}
    assert whole.resources[2].references == {"urn:a", "urn:b"}, "what was given is not changed"


def test_names_are_kept_in_a_file_beside_the_inventory(tmp_path: Path) -> None:
    assert read_adopted(tmp_path, "graz") == ()
    roles = (AdoptedRole("n2-reader", GUID, OTHER), AdoptedRole("n1-reader", OTHER, GUID))
    path = adopted_file(tmp_path, "graz")
    path.parent.mkdir()
    path.write_text(adopted_text("graz", roles))
    assert read_adopted(tmp_path, "graz") == tuple(reversed(roles))
    assert adopted_text("graz", roles) == adopted_text("graz", tuple(reversed(roles)))
    assert read_adopted(tmp_path / "missing", "graz") == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "roleAssignments:",
        "roleAssignments: [a]",
        "roleAssignments: {a: {name: x}}",
        "roleAssignments: {a: {name: ../../x, principal: y}}",
        "roleAssignments: {a: b}",
        "other: {}",
        "roleAssignments: {a: {name: [",
        "\x00",
    ],
)
def test_a_file_that_adopt_did_not_write_is_refused(tmp_path: Path, text: str) -> None:
    path = adopted_file(tmp_path, "graz")
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(StackError, match=r"graz\.yaml"):
        read_adopted(tmp_path, "graz")


class Looking:
    """An Azure with one role assignment."""

    def __init__(self, assignment: dict[str, Any] | None = None) -> None:
        self.assignment, self.calls = assignment, 0

    def find(self, path: str, api_version: str) -> dict[str, Any] | None:
        self.calls += 1
        there = self.assignment and str(self.assignment["id"]).lower() == path.lower()
        return self.assignment if there else None

    def list(self, path: str, api_version: str) -> list[dict[str, Any]]:
        return [self.assignment] if self.assignment else []

    def post(self, path: str, api_version: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        raise AssertionError("no key is asked for")


SCOPE = "/subscriptions/7c1d9a52-0000-4000-8000-0000000000f1/resourceGroups/rg"


def program(*roles: AdoptedRole, principal: str = GUID) -> None:
    import pulumi_azure_native as azure_native

    azure_native.authorization.RoleAssignment(
        "n1-reader",
        role_assignment_name="ffffffff-0000-4000-8000-000000000000",
        principal_id=principal,
        principal_type="ServicePrincipal",
        role_definition_id=f"/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/{OTHER}",
        scope=SCOPE,
        opts=pulumi.ResourceOptions(transformations=[keep_names(roles)]),
    )


def sight(tmp_path: Path, azure: Looking, *roles: AdoptedRole, principal: str = GUID) -> Sighting:
    seen = Sightings()
    engine = LocalEngine(StateStore(tmp_path), lambda package: AdoptingProvider(azure, seen, keys=False))
    result = engine.up(StackRun(StackRef("fleet", "graz"), lambda: program(*roles, principal=principal)))
    assert result.error is None, result.error
    (sighting,) = seen.by_urn.values()
    return sighting


def assignment(name: str, principal: str = GUID, scope: str = SCOPE, role: str = OTHER) -> dict[str, Any]:
    role_id = f"/providers/Microsoft.Authorization/roleDefinitions/{role.upper()}"
    return {
        "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
        "name": name,
        "properties": {"principalId": principal.upper(), "roleDefinitionId": role_id, "scope": scope.upper()},
    }


def test_the_same_right_under_another_name_is_found(tmp_path: Path) -> None:
    assert sight(tmp_path, Looking(assignment("made-by-hand"))).other_name == "made-by-hand"


def test_a_name_that_is_no_guid_is_not_kept_for_later_runs(tmp_path: Path) -> None:
    """It would stand in a file that every later run refuses."""
    for name in ("made-by-hand", "..", "\x1b[2J"):
        seen = Sightings({"urn:n1-reader": sight(tmp_path / str(len(name)), Looking(assignment(name)))})
        with pytest.raises(FleetError, match="name is no GUID") as caught:
            _other_names(seen)
        assert caught.value.code == "ADP001" and caught.value.message.isprintable()
    guid = Sightings({"urn:n1-reader": sight(tmp_path / "guid", Looking(assignment(OTHER)))})
    assert [other.name for other in _other_names(guid)] == [OTHER]


@pytest.mark.parametrize(
    "other",
    [
        assignment("n", principal=OTHER),
        assignment("n", role=GUID),
        assignment("n", scope="/subscriptions/7c1d9a52-0000-4000-8000-0000000000f1"),
    ],
)
def test_another_right_is_not_taken_for_it(tmp_path: Path, other: dict[str, Any]) -> None:
    sighting = sight(tmp_path, Looking(other))
    assert sighting.inputs is None and sighting.other_name is None


def test_a_kept_name_holds_for_its_principal_only(tmp_path: Path) -> None:
    role = AdoptedRole("n1-reader", GUID, GUID.upper())
    assert sight(tmp_path / "a", Looking(), role).id.endswith(f"/{GUID}")
    assert sight(tmp_path / "b", Looking(), role, principal=OTHER).id.endswith(
        "/ffffffff-0000-4000-8000-000000000000"
    )
    other = AdoptedRole("n2-reader", GUID, GUID)
    assert sight(tmp_path / "c", Looking(), other).id.endswith("/ffffffff-0000-4000-8000-000000000000")


def test_nothing_is_asked_for_twice_and_nothing_can_be_written(tmp_path: Path) -> None:
    azure = Looking()
    sight(tmp_path, azure)
    assert azure.calls == 1
    provider = AdoptingProvider(azure, Sightings(), keys=False)
    for change in (provider._looking.put, provider._looking.delete):
        with pytest.raises(ArmError, match="a bug"):
            change("/x", "v")
