"""From files to sites: every wrong shape has its code, its line and a message that says what to type."""

import pytest

from fleet.inventory.layers import overlay
from tests.factory import check, factory_files, factory_inventory, line_of, load, places

GRAZ = "sites/graz.yaml"


def test_the_example_is_without_findings() -> None:
    assert [site.name for site in factory_inventory().sites] == ["graz", "narvik", "turin"]


@pytest.mark.parametrize(
    ("path", "old", "new", "expected", "help_text"),
    [
        (GRAZ, "azureLocal:", "azurelocal:", "INV010 sites/graz.yaml:9 unknown key 'azurelocal'", "did you mean 'azureLocal'?"),
        (GRAZ, "  clusterName: graz-hci", "  clusterNam: graz-hci", "INV010 sites/graz.yaml:10 unknown key 'clusterNam' in azureLocal", "did you mean 'clusterName'?"),
        (GRAZ, "ip: 10.30.1.12", "ip: 10.30.1.300", "INV011 sites/graz.yaml:15 azureLocal.nodes.1.ip: '10.30.1.300' is not an IPv4 address, such as 10.0.0.4", None),
        (GRAZ, "cidr: 10.30.1.0/24", "cidr: 10.30.1.7/24", "INV011 sites/graz.yaml:17 azureLocal.management.cidr: '10.30.1.7/24' names a host inside a network; the network is 10.30.1.0/24", None),
        (GRAZ, "ring: broad", "ring: braod", "INV016 sites/graz.yaml:4 there is no ring 'braod'", "did you mean 'broad'?"),
        (GRAZ, "profile: gpu-cluster", "profile: gpu", "INV015 sites/graz.yaml:5 there is no profile 'gpu'", "known: gpu-cluster, offshore, pilot"),
        (GRAZ, "apiVersion: fleet/v1", "apiVersion: fleet/v2", "INV011 sites/graz.yaml:1 apiVersion is the text 'fleet/v2'; expected 'fleet/v1'", "did you mean 'fleet/v1'?"),
        (GRAZ, "name: graz\n", "name: Graz\n", "INV011 sites/graz.yaml:3 name is the text 'Graz'; expected a name of 1 to 63 small letters, digits and dashes, with no dash at either end, such as graz-1", None),
        (GRAZ, "labels: {country: at", "labels: {country: no, floor: 3", "INV011 sites/graz.yaml:6 labels.floor is the number 3 where text is expected", 'put it in quotes: "3"'),
        ("fleet.yaml", "controlPlane: {count: 1,", "controlPlane: {count: 2,", "INV011 fleet.yaml:36 kubernetes.controlPlane.count is the number 2; expected 1, 3 or 5", None),
        ("fleet.yaml", "mode: constrained", "mode: constraint", "INV011 fleet.yaml:{} connectivity.mode is the text 'constraint'; expected 'connected', 'constrained' or 'disconnected'", "did you mean 'constrained'?"),
        ("fleet.yaml", "gpu: true}", "gpu: yes}", "INV011 fleet.yaml:{} kubernetes.nodePools.inference.gpu is the text 'yes' where true or false is expected", "write true"),
        ("fleet.yaml", "linkMbps: 50", "linkMbps: '050'", "INV011 fleet.yaml:{} connectivity.linkMbps is the text '050' where a whole number is expected", "write 50, without quotes or leading zeros"),
        ("fleet.yaml", "  - name: broad", "  - name: canary", "INV013 fleet.yaml:11 the ring 'canary' is listed twice", None),
        ("fleet.yaml", "      apiKey: {kubernetes: {name: agent-secrets, key: FOUNDRY_API_KEY}}\n", "      apiKey: hunter2-hunter2\n", "SEC001 fleet.yaml:{} agents.maf-agent-api.apiKey holds a literal secret", None),
        ("fleet.yaml", "localAdmin: {env: FLEET_LOCAL_ADMIN}", "localAdmin: {env: FLEET_LOCAL_ADMIN, file: a}", "INV011 fleet.yaml:32 azureLocal.secrets.localAdmin: a secret reference has exactly one of env and file", None),
    ],
)  # fmt: skip
def test_one_wrong_thing_is_one_clear_diagnostic(
    path: str, old: str, new: str, expected: str, help_text: str | None
) -> None:
    edits = {path: [(old, new)]}
    found = check(edits)
    expected = expected.replace("{}", str(line_of(factory_files(edits), path, new.strip())))
    assert expected in places(found)
    shown = next(d for d in found if d.message in expected)
    if help_text is not None:
        assert shown.help == help_text
    assert "hunter2" not in repr(found)


def test_a_missing_key_is_shown_where_it_belongs_with_what_to_type() -> None:
    found = check({GRAZ: [("  keyVault: kv-fleet-graz\n", "")]})
    assert places(found)[:1] == ["INV012 sites/graz.yaml:9 azureLocal.keyVault is missing"]
    assert found[0].help is not None
    assert found[0].help.startswith("add 'keyVault: …'")


def test_a_mistyped_key_is_not_told_again_as_a_missing_one() -> None:
    """Neither at the sites that lack it, where it stands in a shared layer, nor in the file itself."""
    shared = check({"fleet.yaml": [("    tenant:", "    tenannt:")]})
    assert places(shared) == ["INV010 fleet.yaml:18 unknown key 'tenannt' in azure"]
    assert shared[0].sites == ("graz", "narvik", "turin")
    own = check({GRAZ: [("  clusterName: graz-hci", "  clusterNam: graz-hci")]})
    assert [d.code for d in own] == ["INV010"]
    ring = check({"fleet.yaml": [("- name: broad", "- naem: broad")]})
    assert places(ring) == ["INV010 fleet.yaml:11 unknown key 'naem' in rings.1"]
    both = check({"fleet.yaml": [("    tenant:", "    whatever:")]})
    assert {d.code for d in both} == {"INV010", "INV012"}, "no slip: the key that is missing is told"


def test_a_literal_secret_is_one_finding() -> None:
    """The model refuses it where a reference belongs, and a rule knows its form."""
    key = "sk-" + "abcdefghijklmnopqrstuvwxyz012345"
    reference = "apiKey: {kubernetes: {name: agent-secrets, key: FOUNDRY_API_KEY}}"
    found = check({"fleet.yaml": [(reference, f"apiKey: {key}")]})
    assert [d.code for d in found] == ["SEC001"]
    assert found[0].sites == ("graz", "narvik", "turin")
    two = check({"fleet.yaml": [(reference, f"apiKey: {key}"), ("localAdmin: {env: FLEET_LOCAL_ADMIN}", f"localAdmin: {key}")]})  # fmt: skip
    assert [d.code for d in two] == ["SEC001", "SEC001"]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("10.30.1.0/255.255.255.0", "'10.30.1.0/255.255.255.0' has no prefix length; as one it is 10.30.1.0/24"),
        ("10.30.1.0/0.0.0.255", "'10.30.1.0/0.0.0.255' has no prefix length; as one it is 10.30.1.0/24"),
        ("10.30.1.0/024", "'10.30.1.0/024' has no prefix length; as one it is 10.30.1.0/24"),
        ("10.30.1.0/33", "'10.30.1.0/33' is not an IPv4 network, such as 10.0.0.0/24"),
        ("10.30.1.0/", "'10.30.1.0/' is not an IPv4 network, such as 10.0.0.0/24"),
        ("10.30.1.0", "a network is text with a prefix length, such as 10.0.0.0/24"),
    ],
)  # fmt: skip
def test_a_network_is_written_with_its_prefix_length(typed: str, message: str) -> None:
    found = check({GRAZ: [("cidr: 10.30.1.0/24", f"cidr: {typed}")]})
    assert f"INV011 {GRAZ}:17 azureLocal.management.cidr: {message}" in places(found)


def test_all_mistakes_of_all_files_are_reported_in_one_run() -> None:
    found = check(
        {
            GRAZ: [("vip: 10.30.2.16", "vip: x"), ("azureLocal:", "azureLokal:")],
            "sites/turin.yaml": [("ring: canary", "ring: none")],
        }
    )
    codes = {(d.code, d.span.path) for d in found}
    assert {("INV011", GRAZ), ("INV010", GRAZ), ("INV016", "sites/turin.yaml")} <= codes


def test_a_mistake_in_a_shared_layer_is_one_diagnostic() -> None:
    found = check({"fleet.yaml": [("region: westeurope", "regoin: westeurope")]})
    unknown = [d for d in found if d.code == "INV010"]
    assert len(unknown) == 1
    assert unknown[0].help == "did you mean 'region'?"


def test_an_unused_profile_is_checked_too() -> None:
    found = check({"fleet.yaml": [("profiles:\n", "profiles:\n  spare:\n    topology: pilot\n")]})
    assert [d.code for d in found] == ["FLT016", "INV011"]  # the first: nobody uses it
    assert "'pilot'" in found[1].message


def test_a_layer_may_take_an_inherited_pool_away() -> None:
    found = check({GRAZ: [("kubernetes:\n", "kubernetes:\n  nodePools: {spare: null}\n")]})
    assert places(found) == []


def test_an_empty_list_is_said_in_plain_words() -> None:
    files: dict[str, str | bytes] = {"fleet.yaml": "apiVersion: fleet/v1\nkind: Fleet\nname: f\nrings: []\n"}
    assert places(load(files)[1]) == ["INV011 fleet.yaml:4 rings has 0; at least 1 must be there"]


def test_two_files_for_one_site() -> None:
    files: dict[str, str | bytes] = dict(factory_files())
    files["sites/zz.yaml"] = files[GRAZ]
    found = load(files)[1]
    assert places(found) == ["INV014 sites/zz.yaml:3 the site 'graz' is already in sites/graz.yaml"]


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"\xff\xfe", b"a: [", b"a: &a [*a]"])
def test_one_broken_site_file_leaves_the_others_usable(content: bytes) -> None:
    files: dict[str, str | bytes] = dict(factory_files())
    files[GRAZ] = content
    inventory, found = load(files)
    assert inventory is not None
    assert [site.name for site in inventory.sites] == ["narvik", "turin"]
    assert [d.span.path for d in found] == [GRAZ]


def test_fleet_yaml_that_is_cut_in_half() -> None:
    files: dict[str, str | bytes] = dict(factory_files())
    text = str(files["fleet.yaml"])
    files["fleet.yaml"] = text[: text.index("precision") + 5]
    inventory, found = load(files)
    assert inventory is None
    assert [(d.code, d.span.path) for d in found] == [("INV005", "fleet.yaml")]


def test_provenance_names_the_layer_and_the_line() -> None:
    files = factory_files()
    inventory = factory_inventory()
    graz = inventory.site("graz")
    assert graz is not None
    layers = {
        ("kubernetes", "version"): ("defaults", "fleet.yaml", "version: 1.30.4"),
        ("kubernetes", "controlPlane", "count"): (
            "profile gpu-cluster",
            "fleet.yaml",
            "controlPlane: {count: 3",
        ),
        ("kubernetes", "controlPlane", "vip"): ("site graz", GRAZ, "vip:"),
        ("azureLocal", "nodes", 2, "ip"): ("site graz", GRAZ, "graz-n3"),
    }
    for path, (layer, file, text) in layers.items():
        origin = graz.origin(path)
        assert origin.span is not None
        assert (origin.layer, origin.span.path, origin.span.line) == (layer, file, line_of(files, file, text))
    assert graz.origin(("azureLocal", "switchless")).layer == "default"


def test_digests_depend_on_values_and_on_nothing_else() -> None:
    before = {site.name: site.spec.digest for site in factory_inventory().sites}
    reordered = factory_files()
    reordered[GRAZ] = reordered[GRAZ].replace(
        "name: graz\nring: broad\n", "ring: broad\n# a comment\nname: graz\n"
    )
    inventory, _ = load(reordered)
    assert inventory is not None
    assert {site.name: site.spec.digest for site in inventory.sites} == before
    changed = factory_inventory({GRAZ: [("line: assembly", "line: welding")]})
    assert {site.name for site in changed.sites if site.spec.digest != before[site.name]} == {"graz"}


def test_overlay_merges_mappings_replaces_lists_and_drops_null() -> None:
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 1}
    assert overlay(base, {"a": {"y": [3], "z": {"q": None}}, "b": None, "c": None}) == {
        "a": {"x": 1, "y": [3], "z": {}}
    }
    assert base == {"a": {"x": 1, "y": [1, 2]}, "b": 1}
