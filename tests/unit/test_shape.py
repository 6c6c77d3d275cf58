"""What the model complains about is told once, and with the text to type where the fix is mechanical."""

import pytest

from tests.factory import Edits, check, factory_files, load, places

GRAZ = "sites/graz.yaml"
FLEET = "fleet.yaml"
WINDOWS = (
    "maintenance:\n  timeZone: Europe/Vienna\n  windows:\n    - {days: %s, start: '22:00', minutes: 60}\n"
)


def with_days(days: str) -> Edits:
    """The example with a maintenance window on `days` at graz."""
    text = factory_files()[GRAZ]
    return {GRAZ: [(text, text + WINDOWS % days)]}


def test_the_window_of_these_tests_is_right_but_for_its_days() -> None:
    assert not [d for d in check(with_days("[mon]")) if d.code.startswith("INV")]


@pytest.mark.parametrize("days", ["[Monday]", "[mon, Monday]"])
def test_a_wrong_item_does_not_make_its_list_short(days: str) -> None:
    found = [d for d in check(with_days(days)) if d.code.startswith("INV")]
    assert len(found) == 1
    assert "the text 'Monday'" in found[0].message


def test_an_empty_list_in_an_item_is_told_for_itself() -> None:
    found = [d.message for d in check(with_days("[]")) if d.code.startswith("INV")]
    assert found == ["maintenance.windows.0.days has 0; at least 1 must be there"]


def test_a_wrong_value_in_every_ring_does_not_make_the_rings_too_few() -> None:
    text = factory_files()[FLEET]
    found = check({FLEET: [(text, text.replace("soakMinutes: 0", "soakMinutes: 1h"))]})
    assert places(found) == [
        f"INV011 fleet.yaml:{line} rings.{number}.soakMinutes is the text '1h' where a whole number is expected"
        for number, line in enumerate((10, 12))
    ]


def test_a_list_that_is_empty_is_still_too_short() -> None:
    files: dict[str, str | bytes] = {FLEET: "apiVersion: fleet/v1\nkind: Fleet\nname: 1\nrings: []\n"}
    assert "INV011 fleet.yaml:4 rings has 0; at least 1 must be there" in places(load(files)[1])


@pytest.mark.parametrize(
    ("path", "old", "new", "message", "help_text"),
    [
        (FLEET, "{count: 1,", "{count: '3',", "kubernetes.controlPlane.count is the text '3'; expected 1, 3 or 5", "write 3, without quotes"),
        (FLEET, "{count: 1,", "{count: '4',", "kubernetes.controlPlane.count is the text '4'; expected 1, 3 or 5", "known: 1, 3, 5"),
        (FLEET, "soakMinutes: 0", "soakMinutes: 1h", "rings.0.soakMinutes is the text '1h' where a whole number is expected", "write 60, a whole number of minutes"),
        (FLEET, "soakMinutes: 0", "soakMinutes: 90 s", "rings.0.soakMinutes is the text '90 s' where a whole number is expected", "write a whole number of minutes"),
        (FLEET, "p95Ms: 20000", "p95Ms: 20s", "inference.chat.slo.p95Ms is the text '20s' where a whole number is expected", "write 20000, a whole number of milliseconds"),
        (FLEET, "linkMbps: 50}", "linkMbps: 1h}", "connectivity.linkMbps is the text '1h' where a whole number is expected", None),
        (GRAZ, "gateway: 10.30.1.1, dns: [10.30.1.4]", "gateway: 10.30.1.1, dns: 10.30.1.4", "azureLocal.management.dns is the text '10.30.1.4' where a list is expected", "write [10.30.1.4]"),
        (FLEET, "tools: [work-orders]", "tools: work-orders", "agents.maf-agent-api.tools is the text 'work-orders' where a list is expected", "write [work-orders]"),
        (FLEET, "tools: [work-orders]", "tools: 'a, b'", "agents.maf-agent-api.tools is the text 'a, b' where a list is expected", "write a list: '- …'"),
        (FLEET, "tools: [work-orders]", "tools: '3'", "agents.maf-agent-api.tools is the text '3' where a list is expected", "write a list: '- …'"),
        (FLEET, "tools: [work-orders]", "tools: 3", "agents.maf-agent-api.tools is the number 3 where a list is expected", "write [3]"),
        (FLEET, "tools: [work-orders]", "tools: {work-orders: x}", "agents.maf-agent-api.tools is a mapping where a list is expected", "write a list: '- …'"),
        (FLEET, "rings:\n  - name: canary\n    soakMinutes: 0\n  - name: broad\n    soakMinutes: 0\n", "rings: {canary: {}, broad: {}}\n", "rings is a mapping where a list is expected", "write a list, each item after a dash: '- name: …'"),
        (GRAZ, "profile: gpu-cluster", "profile: gpu_cluster", "profile is the text 'gpu_cluster'; expected a name of 1 to 63 small letters, digits and dashes, with no dash at either end, such as graz-1", "did you mean 'gpu-cluster'?"),
        (GRAZ, "ring: broad", "ring: Broad", "ring is the text 'Broad'; expected a name of 1 to 63 small letters, digits and dashes, with no dash at either end, such as graz-1", "did you mean 'broad'?"),
        (GRAZ, "name: graz\n", "name: Graz\n", "name is the text 'Graz'; expected a name of 1 to 63 small letters, digits and dashes, with no dash at either end, such as graz-1", None),
    ],
)  # fmt: skip
def test_the_help_says_what_to_type(
    path: str, old: str, new: str, message: str, help_text: str | None
) -> None:
    told = [d.help for d in check({path: [(old, new)]}) if d.message == message]
    assert told == [help_text]


def test_a_secret_where_a_list_belongs_is_not_repeated() -> None:
    token = "ghp_" + "a1B2c3D4e5F6" * 3
    found = check({FLEET: [("tools: [work-orders]", f"tools: {token}")]})
    assert token not in repr(found)
    assert [d.help for d in found if d.code == "INV011"] == ["write a list: '- …'"]
