"""Sites from what Azure holds: odd, half-done, unreadable and hostile answers."""

import copy
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from fleet.adapters.arm_client import ArmClient, ArmError, RetryPolicy
from fleet.adapters.azure_cli import AzureCliToken
from fleet.adapters.azure_listing import read_azure
from fleet.app.azure_import.body import Body
from fleet.app.azure_import.drafts import AzureImport, import_azure
from fleet.cli import exits
from fleet.cli.main import main
from fleet.diagnostics.diagnostic import FleetError
from fleet.inventory.inventory import Inventory
from fleet.inventory.source import SourceFile
from fleet.model.site import SiteSpec
from fleet.ports.azure import AzureResources, JsonObject, resources_by_id
from fleet_stacks import arc_cluster, names
from fleet_stacks.deployment_settings import deployment_settings_body
from tests.factory import FACTORY, factory_files, load

SUBSCRIPTION = "7c1d9a52-0000-4000-8000-0000000000f1"
Edit = Callable[[JsonObject], None]


def fleet_of(*sites: str, edits: dict[str, list[tuple[str, str]]] | None = None) -> Inventory:
    """The example with only these sites."""
    files = factory_files(edits)
    kept = {p: t for p, t in files.items() if not p.startswith("sites/") or p[6:-5] in sites}
    inventory, _ = load({p: t for p, t in kept.items() if p == "fleet.yaml" or p.startswith("sites/")})
    assert inventory is not None
    return inventory


def bodies(spec: SiteSpec) -> dict[str, JsonObject]:
    """What Azure holds of a deployed site, by a short name: the bodies that the stacks send."""
    cluster, connected = names.cluster_id(spec), names.connected_cluster_id(spec)
    instance = names.provisioned_cluster_id(spec)
    done = {"provisioningState": "Succeeded"}
    settings = deployment_settings_body(spec, "deploy")
    settings["properties"] |= done
    made: dict[str, JsonObject] = {
        "cluster": {"id": cluster, "location": "West Europe", "tags": names.tags(spec), "properties": {}},
        "settings": {"id": f"{cluster}/deploymentSettings/default", **settings},
        "network": {"id": names.logical_network_id(spec), **arc_cluster.logical_network_body(spec)},
        "connected": {"id": connected, **arc_cluster.connected_cluster_body(spec)},
        "instance": {"id": instance, **arc_cluster.provisioned_cluster_body(spec)},
    }
    for pool in arc_cluster.agent_pools(spec):
        made[pool] = {"id": f"{instance}/agentPools/{pool}", **arc_cluster.agent_pool_body(spec, pool)}
    for node in spec.azure_local.nodes:
        machine = names.machine_id(spec, node)
        made[node.name] = {"id": machine, "properties": {}}
        made[f"{node.name}-device"] = {
            "id": f"{machine}/providers/Microsoft.AzureStackHCI/edgeDevices/default"
        }
    return copy.deepcopy(made)


def azure_of(*worlds: dict[str, JsonObject]) -> AzureResources:
    found = resources_by_id(body for world in worlds for body in world.values())
    return AzureResources(SUBSCRIPTION, by_id=found)


@pytest.fixture(scope="module")
def turin() -> SiteSpec:
    return spec_of("turin")


def spec_of(name: str) -> SiteSpec:
    site = fleet_of(name).site(name)
    assert site is not None
    return site.spec


def imported(*worlds: dict[str, JsonObject], fleet: Inventory | None = None) -> AzureImport:
    return import_azure(azure_of(*worlds), fleet or fleet_of(), {})


def test_a_site_is_drafted_from_the_bodies_that_the_stacks_send(turin: SiteSpec) -> None:
    result = imported(bodies(turin))
    draft = result.created[0]
    assert (draft.site, draft.ring, draft.profile, draft.missing, draft.notes) == (
        "turin", "canary", "pilot", (), (),
    )  # fmt: skip
    assert (result.fieldless, result.unplaced, result.skipped) == ({}, [], [])
    inventory, _ = load({**factory_files(), "sites/turin.yaml": draft.text})
    assert inventory is not None
    site = inventory.site("turin")
    assert site is not None
    assert site.spec.azure_local == turin.azure_local
    assert site.spec.azure == turin.azure


def test_a_profile_is_proposed_only_where_one_fits() -> None:
    for name, profile in (("graz", "gpu-cluster"), ("narvik", "offshore")):
        assert imported(bodies(spec_of(name))).created[0].profile == profile
    fleet, world = fleet_of(), bodies(spec_of("graz"))
    none = imported(world, fleet=replace(fleet, raw={**fleet.raw, "profiles": {}})).created[0]
    assert none.profile is None
    assert none.checks == ('topology is "datacenter-cluster"',)
    odd = {"far": {"azure": {"region": "autonomous"}}}
    wrong = imported(world, fleet=replace(fleet, raw={**fleet.raw, "profiles": odd})).created[0]
    assert wrong.profile is None
    assert wrong.checks[0] == "no profile fits: none of them says what Azure says"


def test_a_profile_for_one_machine_is_not_proposed_for_several() -> None:
    fleet = fleet_of()
    single = {"one": {"topology": "pilot-node", "connectivity": {"mode": "connected"}}}
    fleet = replace(fleet, raw={**fleet.raw, "profiles": single})
    draft = imported(bodies(spec_of("graz")), fleet=fleet).created[0]
    assert draft.profile is None
    assert 'topology is "datacenter-cluster"' in draft.checks
    assert imported(bodies(spec_of("turin")), fleet=fleet).created[0].profile == "one"


def test_what_is_inherited_and_not_in_azure_is_taken_away() -> None:
    world = bodies(spec_of("graz"))
    del world["inference"]
    cluster = world["settings"]["properties"]["deploymentConfiguration"]["scaleUnits"][0]["deploymentData"]
    cluster["cluster"] = {"name": "graz-hci"}
    fleet = fleet_of(
        edits={"fleet.yaml": [("    euLocation: true\n", "    witness: {storageAccount: abc}\n")]}
    )
    text = imported(world, fleet=fleet).created[0].text
    values = SourceFile("", text.encode()).load()[0]
    assert values["kubernetes"]["nodePools"] == {"inference": None}
    assert values["azureLocal"]["witness"] is None
    assert values["azureLocal"]["euLocation"] is True


def test_a_shell_and_a_half_deployed_cluster(turin: SiteSpec) -> None:
    shell = {"cluster": bodies(turin)["cluster"]}
    draft = imported(shell).created[0]
    assert "the cluster has no deployment settings: it is not deployed yet" in draft.notes
    assert draft.text.startswith("# REPLACE: ")
    assert any(line.startswith("azureLocal.nodes: ") for line in draft.missing)

    half = bodies(turin)
    half["settings"]["properties"] |= {"deploymentMode": "Validate", "provisioningState": "Failed"}
    for key in ("connected", "instance", "inference", "network"):
        del half[key]
    draft = imported(half).created[0]
    assert 'half deployed: the phase "Validate" is "Failed"' in draft.notes
    assert "no AKS cluster lives at the cluster's custom location" in draft.notes
    assert "namingPrefix: turin" in draft.text
    assert "# REPLACE: kubernetes.name: the site has no AKS cluster yet" in draft.text


UNPRINTABLE = 'x: {y}\n# REPLACE: z\n"\u2028\x1b[31m'
ODD = "x: {y} # &a *a !!python/object:os.system - 'no' \" ]"


@pytest.mark.parametrize("text", [UNPRINTABLE, ODD])
def test_hostile_text_is_data(turin: SiteSpec, text: str) -> None:
    """It is a value as it is, or in a remark as one line without control characters."""
    world = bodies(turin)
    data = world["settings"]["properties"]["deploymentConfiguration"]["scaleUnits"][0]["deploymentData"]
    data["domainFqdn"] = text
    data["namingPrefix"] = text
    data["hostNetwork"]["intents"][0]["adapter"] = [text]
    data["securitySettings"][text] = True
    world["cluster"]["tags"][text] = text
    world["instance"]["properties"]["agentPoolProfiles"][0]["name"] = text
    draft = imported(world).created[0]
    values = SourceFile("", draft.text.encode()).load()[0]
    if text == ODD:
        assert values["azureLocal"]["domainFqdn"] == text
        assert values["azureLocal"]["intents"][0]["adapters"] == [text]
        assert values["azure"]["tags"] == {text: text}
    else:
        assert not {"domainFqdn", "intents"} & values["azureLocal"].keys()
        assert "tags" not in values["azure"]
    assert "namingPrefix" not in values["azureLocal"]
    assert values.keys() <= {
        "apiVersion", "kind", "name", "ring", "profile", "azure", "azureLocal", "kubernetes", "connectivity",
    }  # fmt: skip
    remarks = [line for line in draft.text.split("\n") if line.startswith("#")]
    assert "# REPLACE: z" not in remarks
    for line in [*remarks, *draft.notes, *draft.missing]:
        assert line.isprintable(), line


@pytest.mark.parametrize("junk", [None, 7, "text", [], [None, 3, "x"], {"a": [1]}, True])
def test_no_shape_of_an_answer_is_a_crash(turin: SiteSpec, junk: Any) -> None:
    """Every value of every body, one after the other, becomes something else."""

    def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            yield (*path, key)
            yield from places(value, (*path, key))

    world = bodies(turin)
    fleet = fleet_of("turin")
    for name in ("cluster", "settings", "network", "connected", "instance", "inference"):
        for path in places(world[name]):
            if path == ("id",):
                continue
            broken = {**world, name: copy.deepcopy(world[name])}
            node: Any = broken[name]
            for step in path[:-1]:
                node = node[step]
            node[path[-1]] = junk
            assert import_azure(azure_of(broken), fleet, {}).compared, (name, path)


def moved(world: dict[str, JsonObject], **words: str) -> dict[str, JsonObject]:
    """The same site with other names, not made by fleet."""
    text = json.dumps(world)
    for old, new in words.items():
        text = text.replace(old.replace("_", "-"), new)
    made: dict[str, JsonObject] = json.loads(text)
    made["cluster"]["tags"] = {}
    return made


def test_names_that_are_no_site_names_and_names_that_meet(turin: SiteSpec) -> None:
    worlds = [
        moved(bodies(turin), rg_fleet_turin="RG.One", turin_hci="HCI-1"),
        moved(bodies(turin), rg_fleet_turin="rg_two", turin_hci="hci-1"),
        moved(bodies(turin), rg_fleet_turin="rg-two", turin_hci="hci--1"),
        moved(bodies(turin), rg_fleet_turin="rg-3", turin_hci="Plant_7"),
    ]
    result = imported(*worlds)
    drafts = {draft.cluster_id.split("/")[4]: draft for draft in result.created}
    found = {group: draft.site for group, draft in drafts.items()}
    assert found["RG.One"] == "rg-one-hci-1"
    assert sorted((found["rg_two"], found["rg-two"]))[1] == "rg-two-hci-1"
    assert len(set(found.values())) == 4
    assert found["rg-3"] == "plant-7"
    assert any("plant-7 is a good name" in check for check in drafts["rg-3"].checks)
    assert any("takes no such value" in line for line in drafts["rg-3"].missing), "Plant_7 is no clusterName"
    assert any("broad, the last ring" in check for check in drafts["rg-3"].checks)
    again = imported(*reversed(worlds))
    assert {d.cluster_id: d.site for d in again.created} == {d.cluster_id: d.site for d in result.created}


def test_a_taken_name_is_not_taken_again(turin: SiteSpec) -> None:
    world = moved(bodies(turin), rg_fleet_turin="rg-other", turin_hci="graz")
    draft = import_azure(azure_of(world), fleet_of("graz"), {"graz": SourceFile("g", b"name: graz")}).created[
        0
    ]
    assert draft.site == "rg-other-graz"


def test_a_file_that_does_not_resolve_is_neither_compared_nor_doubled(turin: SiteSpec) -> None:
    file = SourceFile("sites/t.yaml", b"name: t\nazureLocal: {clusterName: TURIN-HCI}\n")
    world = moved(bodies(turin))
    result = import_azure(azure_of(world), fleet_of(), {"t": file})
    assert result.created == []
    assert "can't be compared" in result.skipped[0][1]
    other = SourceFile("sites/t.yaml", b"name: t\nazureLocal: {clusterName: else}\n")
    assert import_azure(azure_of(world), fleet_of(), {"t": other}).created


def set_at(*path: Any, to: Any) -> Edit:
    def edit(body: JsonObject) -> None:
        node: Any = body
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = to

    return edit


DATA = ("properties", "deploymentConfiguration", "scaleUnits", 0, "deploymentData")


@pytest.mark.parametrize(
    ("name", "edit", "path", "mine", "theirs"),
    [
        ("instance", set_at("properties", "kubernetesVersion", to="1.29.9"), "kubernetes.version", "1.30.4", "1.29.9"),
        ("inference", set_at("properties", "count", to=3), "kubernetes.nodePools.inference.count", 1, 3),
        ("inference", set_at("properties", "nodeLabels", to={"a": "b"}), "kubernetes.nodePools.inference.labels.a", None, "b"),
        ("settings", set_at(*DATA, "securitySettings", "wdacEnforced", to=False), "azureLocal.security.wdacEnforced", True, False),
        ("settings", set_at(*DATA, "cluster", "cloudAccountName", to="acct"), "azureLocal.witness", None, {"storageAccount": "acct"}),
        ("connected", set_at("properties", "arcAgentProfile", "agentAutoUpgrade", to="Disabled"), "connectivity.mode", "connected", "constrained"),
        ("cluster", set_at("tags", "cost", to="7"), "azure.tags.cost", None, "7"),
        ("cluster", set_at("location", to="North Europe"), "azure.region", "westeurope", "northeurope"),
    ],
)  # fmt: skip
def test_a_difference_names_field_and_place(
    turin: SiteSpec, name: str, edit: Edit, path: str, mine: Any, theirs: Any
) -> None:
    world = bodies(turin)
    fleet = fleet_of("turin")
    assert imported(world, fleet=fleet).compared[0].differences == ()
    edit(world[name])
    (found,) = imported(world, fleet=fleet).compared[0].differences
    assert (found.path, found.inventory, found.azure) == (path, mine, theirs)
    assert found.span is None or found.span.path in ("fleet.yaml", "sites/turin.yaml")


def test_a_pool_that_azure_does_not_have_and_one_more(turin: SiteSpec) -> None:
    world = bodies(turin)
    extra = copy.deepcopy(world["inference"])
    extra["id"] = extra["id"].replace("/inference", "/more")
    del world["inference"]
    differences = imported({**world, "more": extra}, fleet=fleet_of("turin")).compared[0].differences
    assert [(d.path, d.azure is None) for d in differences] == [
        ("kubernetes.nodePools.more", False),
        ("kubernetes.nodePools.inference", True),
    ]


def test_case_order_and_autoscaling_are_no_difference(turin: SiteSpec) -> None:
    spec = spec_of("graz")
    world = bodies(spec)
    data = world["settings"]["properties"]["deploymentConfiguration"]["scaleUnits"][0]["deploymentData"]
    data["physicalNodes"].reverse()
    data["domainFqdn"] = "FACTORY.example"
    world = {key: {**body, "id": body["id"].replace("rg-fleet", "RG-Fleet")} for key, body in world.items()}
    assert imported(world, fleet=fleet_of("graz")).compared[0].differences == ()


def test_what_has_no_field_is_named_and_no_secret_is_shown(turin: SiteSpec) -> None:
    world = bodies(turin)
    secret = "Server=x;Password=hunter2-hunter2"
    world["settings"]["properties"]["deploymentConfiguration"]["scaleUnits"][0]["sbePartnerInfo"] = {
        "partnerProperties": [{"name": "k", "value": secret}]
    }
    world["turin-n1"]["properties"] = {"agentConfiguration": {"proxyUrl": "http://user:hunter2@proxy:3128"}}
    aks2 = {
        f"{name}-2": json.loads(json.dumps(world[name]).replace("turin-aks", "turin-other"))
        for name in ("connected", "instance")
    }
    spare = {
        "spare": {
            "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.HybridCompute/machines/m"
        }
    }
    vm = {"vm": {"id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Contoso.Odd/things/t"}}
    result = imported(world, aks2, spare, vm)
    assert [path for _, path in result.fieldless] == [
        f"properties.deploymentConfiguration.scaleUnits[].sbePartnerInfo.partnerProperties[].{key}"
        for key in ("name", "value")
    ]
    assert [what for _, what in result.unplaced] == ["a registered machine that no deployment names"]
    assert result.other_types == {"Contoso.Odd/things": 1}
    assert any("a second AKS cluster" in note for note in result.created[0].notes)
    assert "hunter2" not in repr(result)


def test_a_site_that_azure_does_not_have_and_one_that_cannot_be_read(turin: SiteSpec) -> None:
    world = bodies(turin)
    fleet = fleet_of("turin", "graz")
    result = imported(world, fleet=fleet)
    assert result.absent == ["graz"] and result.differs
    unread = AzureResources(
        SUBSCRIPTION, by_id=azure_of(world).by_id, unread={world["cluster"]["id"].lower(): "no right"}
    )
    result = import_azure(unread, fleet_of("turin"), {})
    assert (result.compared, result.absent) == ([], [])
    assert result.skipped[0][1] == "it could not be read: no right"


def test_a_body_says_what_nobody_looked_at() -> None:
    kind = "/subscriptions/s/resourceGroups/g/providers/Microsoft.AzureStackHCI/logicalNetworks/n"
    body = Body({"id": kind, "properties": {"a": [{"b": 1, "c": 2}], "status": 3, "d": {}, "e": None}})
    assert body.number("properties", "a", 0, "b") == 1
    assert list(body.unseen()) == ["properties.a[].c"]


# --- reading


class FakeArm:
    """Answers by path: JSON, or a status with a code; each path's answers in turn, the last for ever."""

    def __init__(self, answers: dict[str, list[Any]]) -> None:
        self.answers = {path.lower(): list(given) for path, given in answers.items()}
        self.asked: list[str] = []
        self.slept: list[float] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.lower()
        self.asked.append(f"{request.method} {request.url.raw_path.decode()}")
        given = self.answers.get(path, [{"value": []}])
        answer = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(answer, tuple):
            status, code, *headers = answer
            body = {"error": {"code": code, "message": "said Azure"}}
            return httpx.Response(status, json=body, headers=dict(headers))
        return httpx.Response(200, json=answer)

    def read(self, *groups: str) -> AzureResources:
        with ArmClient(
            "https://arm.example", lambda: "token", transport=httpx.MockTransport(self.handle),
            sleep=self.slept.append, retry=RetryPolicy(attempts=3, base=0.001),
        ) as client:  # fmt: skip
            return read_azure(client, SUBSCRIPTION, groups, workers=2)


ROOT_ID = f"/subscriptions/{SUBSCRIPTION}"
CLUSTERS = f"{ROOT_ID}/providers/Microsoft.AzureStackHCI/clusters"


def cluster(name: str) -> JsonObject:
    return {"id": f"{ROOT_ID}/resourceGroups/g/providers/Microsoft.AzureStackHCI/clusters/{name}"}


def test_all_pages_are_read_and_throttling_is_waited_for() -> None:
    following = f"https://arm.example{CLUSTERS}?%24skiptoken=1"
    throttled = (429, "TooManyRequests", ("Retry-After", "7"))
    arm = FakeArm(
        {
            CLUSTERS: [
                throttled,
                {"value": [cluster("a")], "nextLink": following},
                {"value": [cluster("b"), "junk"]},
            ]
        }
    )
    azure = arm.read()
    assert [Body(b).name for b in azure.of_type("Microsoft.AzureStackHCI/clusters")] == ["a", "b"]
    assert arm.slept == [7.0]
    assert azure.notes == ("1 answers of Azure were no resources: without an id",)
    assert all(asked.startswith("GET ") for asked in arm.asked)


def test_a_next_page_at_another_host_is_not_followed() -> None:
    arm = FakeArm({CLUSTERS: [{"value": [], "nextLink": "https://evil.example/steal"}]})
    with pytest.raises(ArmError, match="another host"):
        arm.read()


@pytest.mark.parametrize(
    ("path", "answer", "code"),
    [
        (ROOT_ID, (404, "SubscriptionNotFound"), "IMP001"),
        (ROOT_ID, (403, "AuthorizationFailed"), "IMP001"),
        (ROOT_ID, (401, "ExpiredAuthenticationToken"), "ExpiredAuthenticationToken"),
        (CLUSTERS, (403, "AuthorizationFailed"), "IMP003"),
        (CLUSTERS, (429, "TooManyRequests", ("Retry-After", "100000")), "TooManyRequests"),
        (CLUSTERS, (500, "InternalServerError"), "InternalServerError"),
    ],
)
def test_what_ends_the_reading(path: str, answer: tuple[Any, ...], code: str) -> None:
    with pytest.raises(FleetError) as caught:
        FakeArm({path: [answer]}).read()
    assert caught.value.code == code
    assert caught.value.help or code == "InternalServerError"


def test_groups_that_are_not_there_and_types_that_are_not_registered() -> None:
    with pytest.raises(FleetError, match="no resource group 'gone'"):
        FakeArm({f"{ROOT_ID}/resourceGroups/gone": [(404, "ResourceGroupNotFound")]}).read("gone")
    vaults = f"{ROOT_ID}/providers/Microsoft.KeyVault/vaults"
    azure = FakeArm({vaults: [(409, "MissingSubscriptionRegistration")]}).read()
    assert azure.notes == (
        "Microsoft.KeyVault/vaults: the subscription can't hold any yet (MissingSubscriptionRegistration)",
    )


def test_one_cluster_that_cannot_be_read_costs_that_one() -> None:
    bad = f"{cluster('a')['id']}/deploymentSettings/default"
    arm = FakeArm({CLUSTERS: [{"value": [cluster("a"), cluster("b")]}], bad: [(403, "AuthorizationFailed")]})
    assert list(arm.read().unread) == [cluster("a")["id"].lower()]


# --- the Azure CLI


def az(
    returncode: int, stdout: str = "", stderr: str = ""
) -> Callable[[Any], "subprocess.CompletedProcess[str]"]:
    return lambda command: subprocess.CompletedProcess(command, returncode, stdout, stderr)


def test_a_token_is_asked_for_once_and_again_before_it_ends() -> None:
    now, asked = [1000.0], list[list[str]]()

    def run(command: Any) -> "subprocess.CompletedProcess[str]":
        asked.append(list(command))
        answer = json.dumps({"accessToken": f"t{len(asked)}", "expires_on": now[0] + 3600})
        return subprocess.CompletedProcess(command, 0, answer, "")

    token = AzureCliToken(SUBSCRIPTION, run=run, which=lambda name: f"/bin/{name}", clock=lambda: now[0])
    assert [token(), token()] == ["t1", "t1"]
    now[0] += 3400
    assert token() == "t2"
    assert "t1" not in " ".join(asked[1])
    assert asked[0][:5] == ["/bin/az", "account", "get-access-token", "--subscription", SUBSCRIPTION]


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (az(1, stderr="ERROR: Please run 'az login' to setup account.\nmore"), "Please run 'az login'"),
        (az(1), "without a word"),
        (az(0, "no json with s3cret"), "not understood"),
        (az(0, '{"accessToken": "s3cret"}'), "not understood"),
        (az(0, '{"accessToken": "", "expires_on": 1}'), "no token"),
    ],
)
def test_no_token_is_said_without_the_answer(run: Any, words: str) -> None:
    with pytest.raises(FleetError, match=words) as caught:
        AzureCliToken(SUBSCRIPTION, run=run, which=lambda name: name)()
    assert (caught.value.code, caught.value.exit_code) == ("IMP004", 11)
    assert "s3cret" not in f"{caught.value.message}{caught.value.help}"


def test_azure_without_its_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    options = ["--subscription", SUBSCRIPTION, "-i", str(FACTORY), "--engine", "pulumi"]
    assert main(["import", "azure", *options]) == exits.MISSING
    words = capsys.readouterr().err
    assert "IMP004" in words
    assert "az login" in words
    assert "not tested against Azure" in words
