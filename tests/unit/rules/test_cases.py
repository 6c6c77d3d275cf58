"""The form of the cases can fail: each thing that it promises to notice is put before it once."""

from dataclasses import replace

import pytest

from tests.factory import Edits
from tests.unit.rules.cases import (
    FLEET,
    GRAZ,
    Case,
    assert_fires,
    assert_near_miss,
    changed_fields,
    with_line,
)

EDITS: Edits = {GRAZ: [("graz-n2, ip: 10.30.1.12", "graz-n2, ip: 10.30.1.100")]}
GOOD = Case(EDITS, "sites/graz.yaml:{graz-n2} graz-n2's address 10.30.1.100 is inside", help="move the pool")
FIELDS = changed_fields(EDITS)


def test_a_case_that_is_right_passes() -> None:
    assert_fires("NET003", GOOD)
    assert_near_miss("NET003", {GRAZ: [("graz-n2, ip: 10.30.1.12", "graz-n2, ip: 10.30.1.99")]}, FIELDS)


@pytest.mark.parametrize(
    ("code", "case"),
    [
        pytest.param("NET004", GOOD, id="another code"),
        pytest.param("NET003", replace(GOOD, expected="sites/graz.yaml:{graz-n1} graz-n2's"), id="another line"),
        pytest.param("NET003", replace(GOOD, expected="fleet.yaml:1 graz-n2's"), id="another file"),
        pytest.param("NET003", replace(GOOD, expected="sites/graz.yaml:{graz-n2} graz-n3's"), id="another message"),
        pytest.param("NET003", replace(GOOD, expected=(str(GOOD.expected),) * 2), id="one finding less"),
        pytest.param("NET003", replace(GOOD, expected=()), id="one finding more"),
        pytest.param("NET003", replace(GOOD, edits={**EDITS, FLEET: [("systemPool: agents", "systemPool: agent")]}), id="a code that is not listed"),
        pytest.param("NET003", replace(GOOD, also=("K8S005",)), id="a listed code that does not fire"),
        pytest.param("NET003", replace(GOOD, help="move the moon"), id="another help"),
        pytest.param("NET003", replace(GOOD, edits={GRAZ: [("not there", "")]}), id="an edit of what is not there"),
    ],
)  # fmt: skip
def test_a_case_that_is_wrong_fails(code: str, case: Case) -> None:
    with pytest.raises(AssertionError):
        assert_fires(code, case)


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param(EDITS, id="it fires"),
        pytest.param({}, id="no edit"),
        pytest.param(
            {GRAZ: [("kind: Site", "kind: Site  # the same")]}, id="nothing but a comment is edited"
        ),
        pytest.param({GRAZ: [("keyVault: kv-fleet-graz", "keyVault: kv-fleet-other")]}, id="another field"),
        pytest.param({GRAZ: [("graz-n2, ip: 10.30.1.12", "graz-n2, ip: nowhere")]}, id="it does not load"),
    ],
)
def test_a_near_miss_that_is_wrong_fails(edits: Edits) -> None:
    with pytest.raises(AssertionError):
        assert_near_miss("NET003", edits, FIELDS)


def test_lines_are_found_by_their_text() -> None:
    files = {"a.yaml": "one:\n  count: 1\ntwo:\n  count: 2\n  count: 3\n"}
    assert with_line(files, "a.yaml:{two:} a {b} c") == "a.yaml:3 a {b} c"
    assert with_line(files, "a.yaml:{two: > count} message") == "a.yaml:4 message"
    assert with_line(files, "a.yaml:7 message") == "a.yaml:7 message"
    for unclear in ("{count}", "{three:}", "{two: > one:}"):
        with pytest.raises(AssertionError):
            with_line(files, f"a.yaml:{unclear} message")


def test_a_field_is_the_same_in_every_layer() -> None:
    pod_cidr = ("kubernetes", "podCidr")
    assert changed_fields({FLEET: [("podCidr: 10.244", "podCidr: 10.245")]}) == {pod_cidr}
    assert changed_fields({FLEET: [("agents: {vmSize: Standard_D4s_v3", "agents: {vmSize: x")]}) == {
        ("kubernetes", "nodePools", "agents", "vmSize")
    }
    assert changed_fields({GRAZ: [("", "kubernetes_: 1\n")]}) == {("kubernetes_",)}
    assert changed_fields(EDITS) == {("azureLocal", "nodes", "*", "ip")}
    assert changed_fields({FLEET: [("  - name: broad", "  - name: late")]}) == {("rings", "*", "name")}
