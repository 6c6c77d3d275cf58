"""`fleet init` and `fleet site add`: what they write validates, and says what was made up."""

import shutil
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from rich.text import Text

from fleet.app.init import NOBODY, QUESTIONS, first_fleet, placeholders
from fleet.app.site_draft import SiteRequest, draft_site, fitted
from fleet.cli import author_commands, exits
from fleet.cli.console import err
from fleet.cli.main import main
from fleet.diagnostics.diagnostic import FleetError
from fleet.inventory.edit import formatted
from fleet.inventory.schema import schema
from fleet.inventory.source import SourceFile
from tests.factory import FACTORY, load, places

GUID = "5e0c2f1a-0000-4000-8000-000000000001"
ALL = ["--name", "acme", "--tenant", GUID, "--subscription", GUID, "--region", "northeurope", "--domain", "acme.test",
       "--site", "oslo", "--profile", "small", "--management", "10.7.1.0/24", "--kubernetes", "10.7.2.0/24"]  # fmt: skip


def files_of(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


LEFT = {"FLT007", "FLT008"}
"""Warnings of what only its owner can put in."""

# --- init


def test_a_first_fleet_validates_and_is_formatted() -> None:
    files = first_fleet({})
    assert list(files) == ["sites/pilot-1.yaml", "fleet.yaml"]
    inventory, found = load(files)
    assert inventory is not None
    assert {place.split()[0] for place in places(found)} == LEFT
    assert [site.name for site in inventory.sites] == ["pilot-1"]
    for name, text in files.items():
        kind = schema("fleet" if name == "fleet.yaml" else "site")
        assert formatted(SourceFile(name, text.encode()), kind) == text


def test_every_made_up_id_is_marked_where_it_stands() -> None:
    files = first_fleet({})
    marked = {(mark.file, mark.line) for mark in placeholders(files)}
    for name, text in files.items():
        for number, line in enumerate(text.splitlines(), 1):
            assert NOBODY not in line or (name, number) in marked
    words = [mark.text for mark in placeholders(files)]
    assert "tenant: az account show --query tenantId" in words
    assert "check that the machine is pilot-1-n1, with the address 10.20.1.11" in words


def test_what_was_answered_is_not_marked() -> None:
    answers = {"tenant": GUID, "subscription": GUID, "domain": "acme.test", "management": "10.7.1.0/24"}
    words = "\n".join(mark.text for mark in placeholders(first_fleet(answers)))
    for key in ("tenant:", "subscription:", "domainFqdn:", "management network"):
        assert key not in words
    assert "hciResourceProviderObjectId: az ad sp show" in words
    assert "check that the Kubernetes network is 10.20.2.0/24" in words


@pytest.mark.parametrize("word", ["true", "null", "123", "1e3", "no"])
def test_words_that_yaml_reads_as_something_else_stay_words(word: str) -> None:
    inventory, found = load(first_fleet({"name": word, "site": word, "profile": word, "region": "1"}))
    assert inventory is not None
    assert {place.split()[0] for place in places(found)} == LEFT
    assert (inventory.name, inventory.sites[0].name, inventory.sites[0].spec.profile) == (word, word, word)


def test_the_command_writes_names_what_to_replace_and_validates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new"
    assert main(["init", str(folder), "--yes"]) == exits.OK
    captured = capsys.readouterr()
    assert captured.out == ""
    marked = sum(text.count("# REPLACE: ") for text in files_of(folder).values())
    lines = captured.err.splitlines()
    assert lines[0] == f"a fleet of one site is in {folder}"
    assert len(lines) == 6, "a short list, no wall of text"
    assert f"1. put your own values in, and take the remarks out: {marked} lines with # REPLACE" in lines[2]
    assert f"lines with # CHECK in {folder}/sites/pilot-1.yaml" in lines[3]
    assert f"fleet validate -i {folder} says with its line what is left to do" in lines[4]
    assert main(["validate", "-i", str(folder)]) == exits.OK
    assert "FLT008" in capsys.readouterr().out, "what init does not list, validate does"
    assert main(["fmt", "--check", "-i", str(folder)]) == exits.OK


def test_flags_answer_everything(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    assert main(["init", str(folder), *ALL]) == exits.OK
    assert set(files_of(folder)) == {"fleet.yaml", "sites/oslo.yaml"}
    text = (folder / "fleet.yaml").read_text()
    assert f"tenant: {GUID}\n" in text
    assert "delivery: {registry: registry.acme.test}" in text
    assert "cidr: 10.7.2.0/24" in (folder / "sites" / "oslo.yaml").read_text()


@pytest.mark.parametrize("there", ["fleet.yaml", "sites"])
def test_a_folder_with_a_fleet_is_refused(
    there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / there).mkdir() if there == "sites" else (tmp_path / there).write_text("mine\n")
    assert main(["init", str(tmp_path), "--yes"]) == exits.USAGE
    assert f"error[NEW001]: {tmp_path / there} is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [there]


WRONG_ANSWERS = [
    ("--tenant", NOBODY, f"--tenant {NOBODY}: an id of zeros names nobody", "az account show --query tenantId"),
    ("--tenant", "mine", "--tenant mine: the text 'mine'; expected a GUID in small letters, such as 5e0c2f1a-", ""),
    ("--name", "My Fleet", "--name My Fleet: the text 'My Fleet'; expected a name of 1 to 63 small letters", ""),
    ("--management", "10.7.1.5/24", "--management 10.7.1.5/24: '10.7.1.5/24' names a host inside a network; the network is 10.7.1.0/24", ""),
    ("--management", "10.100.0.0/24", "the management network 10.100.0.0/24 overlaps the Kubernetes services' network, 10.96.0.0/12", "name another"),
    ("--management", "10.20.2.0/23", "the Kubernetes network 10.20.2.0/24 overlaps the management network, 10.20.2.0/23", "name another"),
    ("--kubernetes", "10.7.2.0/30", "10.7.2.0/30 has no 11 free addresses in a row for a site", "name a larger network"),
    ("--domain", "acme.test:443", "--domain acme.test:443: a domain has no port", ""),
]  # fmt: skip


@pytest.mark.parametrize(("flag", "value", "message", "help_text"), WRONG_ANSWERS, ids=lambda v: str(v)[:24])
def test_a_wrong_answer_writes_nothing(
    flag: str, value: str, message: str, help_text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path / "new"), flag, value, "--yes"]) == exits.USAGE
    err_text = capsys.readouterr().err
    assert message in err_text
    assert help_text in err_text
    assert not (tmp_path / "new").exists()


def test_without_a_terminal_nobody_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "new"), "--name", "acme"]) == exits.USAGE
    text = capsys.readouterr().err
    assert "error[NEW002]: nobody to ask here\n  = help: --tenant … " in text
    assert "or --yes for defaults" in text
    assert not (tmp_path / "new").exists()


def test_in_a_terminal_it_asks_again_until_the_answer_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter(["acme", "not-a-guid", NOBODY, GUID, *[""] * (len(QUESTIONS) - 2)])
    asked: list[str] = []

    def answer(prompt: Text) -> str:
        asked.append(prompt.plain)
        return next(answers)

    monkeypatch.setattr(author_commands, "in_terminal", lambda: True)
    monkeypatch.setattr(err(), "input", answer)
    assert main(["init", str(tmp_path / "new")]) == exits.OK
    assert asked[:4] == ["Name of the fleet [fleet]: ", *["Entra tenant id [later]: "] * 3]
    text = capsys.readouterr().err
    assert "an id of zeros names nobody; az account show --query tenantId" in text
    fleet = (tmp_path / "new" / "fleet.yaml").read_text()
    assert "name: acme\n" in fleet
    assert f"tenant: {GUID}\n" in fleet
    assert f"subscription: {NOBODY}  # REPLACE" in fleet


def test_answers_that_end_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ended(prompt: Text) -> str:
        raise EOFError

    monkeypatch.setattr(author_commands, "in_terminal", lambda: True)
    monkeypatch.setattr(err(), "input", ended)
    assert main(["init", str(tmp_path / "new")]) == exits.USAGE
    assert "error[NEW002]: the answers ended" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_write_that_fails_leaves_no_half_written_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = author_commands.write_atomically

    def full(path: Path, data: bytes, mode: int = 0o644) -> None:
        if path.name == "fleet.yaml":
            raise OSError(28, "No space left on device", str(path))
        real(path, data, mode)

    monkeypatch.setattr(author_commands, "write_atomically", full)
    assert main(["init", str(tmp_path), "--yes"]) == exits.USAGE
    assert "can't be written: No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# --- site add


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FACTORY, tmp_path / "fleet"))


def add(folder: Path, *arguments: str) -> int:
    return main(["site", "add", *arguments, "-i", str(folder)])


LINZ = ["linz", "--ring", "broad", "--profile", "gpu-cluster", "--management", "10.50.1.0/24",
        "--kubernetes", "10.50.2.0/24", "--node", "linz-n1=10.50.1.11", "--node", "linz-n2=10.50.1.12"]  # fmt: skip


def test_a_site_is_planned_from_its_networks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = add(folder, *LINZ, "--dns", "10.50.1.4", "--label", "country=no")
    text = capsys.readouterr().err
    assert code == exits.VALIDATION, "the tool's destinations are the site's own, and missing"
    assert "error[TOL001]: the tool 'work-orders' has no allowed destinations" in text
    assert "4 sites: 1 error\n" in text
    assert (
        (folder / "sites" / "linz.yaml").read_text()
        == """\
# CHECK: the organisational unit is OU=linz,DC=factory,DC=example
# CHECK: the witness is the storage account fleetwitnesslinz
# CHECK: the key vault's name kv-fleet-linz is free in all of Azure
# CHECK: the site's registry is registry.linz.factory.example
apiVersion: fleet/v1
kind: Site
name: linz
ring: broad
profile: gpu-cluster
labels: {country: "no"}
azure: {resourceGroup: rg-fleet-linz}
azureLocal:
  clusterName: linz-hci
  namingPrefix: linz
  ouPath: OU=linz,DC=factory,DC=example
  nodes:
    - {name: linz-n1, ip: 10.50.1.11}
    - {name: linz-n2, ip: 10.50.1.12}
  management: {cidr: 10.50.1.0/24, gateway: 10.50.1.1, dns: [10.50.1.4]}
  infraPool: {start: 10.50.1.100, end: 10.50.1.110}
  witness: {storageAccount: fleetwitnesslinz}
  customLocation: linz-location
  keyVault: kv-fleet-linz
kubernetes:
  name: linz-aks
  controlPlane: {vip: 10.50.2.16}
  network:
    cidr: 10.50.2.0/24
    gateway: 10.50.2.1
    dns: [10.50.1.4]
    pool: {start: 10.50.2.16, end: 10.50.2.33}
    loadBalancer: {start: 10.50.2.34, end: 10.50.2.44}
registry: {host: registry.linz.factory.example}
"""
    )
    assert main(["fmt", "--check", "-i", str(folder)]) == exits.VALIDATION  # fleet.yaml of the example
    assert "linz.yaml would change" not in capsys.readouterr().err


def test_a_complete_site_validates(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet = folder / "fleet.yaml"
    fleet.write_text(
        fleet.read_text().replace(
            "work-orders: {replicas: 1}",
            "work-orders: {replicas: 1, allowedDestinations: [{cidr: 10.1.1.1/32, port: 443}]}",
        )
    )
    arguments = [
        "wels",
        "--ring",
        "canary",
        "--profile",
        "pilot",
        "--management",
        "10.51.1.0/27",
        "--kubernetes",
        "10.51.2.0/28",
    ]
    assert add(folder, *arguments, "--dry-run") == exits.OK
    shown = capsys.readouterr()
    assert not (folder / "sites" / "wels.yaml").exists()
    assert add(folder, *arguments) == exits.OK
    assert (folder / "sites" / "wels.yaml").read_text() == shown.out
    assert "check that the DNS server is 10.51.1.4" in shown.err
    assert "check that the machine is wels-n1, with the address 10.51.1.11" in shown.err
    assert "    - {name: managementcompute" in shown.out, "a single machine has no storage intent"
    assert "  storageNetworks: []\n" in shown.out


REFUSALS = [
    (["graz", *LINZ[1:]], "NEW003", "the site 'graz' is there already, in ", "name another"),
    (["Linz", *LINZ[1:]], "NEW002", "the site's name is the text 'Linz'; expected a name of 1 to 63 small letters", ""),
    ([*LINZ, "--ring", "brod"], "NEW003", "there is no ring 'brod'", "did you mean 'broad'?"),
    ([*LINZ, "--profile", "gpu-clustr"], "NEW003", "there is no profile 'gpu-clustr'", "did you mean 'gpu-cluster'?"),
    ([*LINZ, "--management", "10.30.0.0/16"], "NEW004", "linz's management network 10.30.0.0/16 overlaps graz's ", "name another network"),
    ([*LINZ, "--kubernetes", "10.40.2.128/25"], "NEW004", "linz's Kubernetes network 10.40.2.128/25 overlaps narvik's Kubernetes network 10.40.2.0/24", ""),
    ([*LINZ, "--kubernetes", "10.244.3.0/24"], "NEW004", "the Kubernetes network 10.244.3.0/24 overlaps the pods' network, 10.244.0.0/16", ""),
    ([*LINZ, "--kubernetes", "10.50.2.0/28", "--dns", "10.50.2.8"], "NEW005", "10.50.2.0/28 has no 10 free addresses in a row for the Kubernetes pool and a load balancer", ""),
    ([*LINZ, "--management", "10.50.1.0"], "NEW002", "--management: a network is text with a prefix length, such as 10.0.0.0/24", ""),
    ([*LINZ, "--node", "linz-n3"], "NEW002", "--node 'linz-n3' is not NAME=VALUE", "such as --node n1=10.0.0.11"),
    ([*LINZ, "--node", "n3=10.9.9.9"], "NEW002", "n3's address 10.9.9.9 is outside the management network 10.50.1.0/24", ""),
    ([*LINZ, "--node", "n3=10.9.9"], "NEW002", "--node: '10.9.9' is not an IPv4 address, such as 10.0.0.4", ""),
    (LINZ[:9], "NEW002", "the machines of a datacenter-cluster must be named", "--node linz-n1=ADDRESS, once for each"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "message", "help_text"), REFUSALS, ids=lambda v: str(v)[-30:])
def test_what_can_not_be_is_refused_and_nothing_written(
    arguments: list[str],
    code: str,
    message: str,
    help_text: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = files_of(folder)
    assert add(folder, *arguments) == exits.USAGE
    text = capsys.readouterr().err
    assert f"error[{code}]: " in text
    assert message in text
    assert help_text in text
    assert files_of(folder) == before


def test_a_fleet_with_errors_is_not_added_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet = folder / "fleet.yaml"
    fleet.write_text(fleet.read_text().replace("perNode: 2", "perNode: two"))
    assert add(folder, *LINZ) == exits.VALIDATION
    text = capsys.readouterr().err
    assert "error[INV011]: gpu.perNode is the text 'two'" in text
    assert "error[INV100]: fleet.yaml has errors" in text
    assert not (folder / "sites" / "linz.yaml").exists()


def test_a_broken_site_does_not_stand_in_the_way_of_another(folder: Path) -> None:
    (folder / "sites" / "graz.yaml").write_text("kind: [\n")
    assert add(folder, *LINZ) == exits.VALIDATION
    assert (folder / "sites" / "linz.yaml").exists()


def test_pools_avoid_what_is_taken_and_shrink_to_what_is_there() -> None:
    below = {
        "topology": "pilot-node",
        "kubernetes": {"controlPlane": {"count": 3}, "nodePools": {"a": {"count": 2}}},
    }
    request = SiteRequest(
        "s", "r", None, IPv4Network("10.1.1.0/24"), IPv4Network("10.1.2.0/27"),
        [("n", IPv4Address("10.1.1.105"))], [IPv4Address("10.1.2.20")],
    )  # fmt: skip
    values = draft_site(request, below).values
    assert values["azureLocal"]["infraPool"] == {"start": "10.1.1.106", "end": "10.1.1.116"}
    network = values["kubernetes"]["network"]
    assert network["pool"]["start"] == values["kubernetes"]["controlPlane"]["vip"]
    pool = [int(IPv4Address(network["pool"][key])) for key in ("start", "end")]
    balancer = [int(IPv4Address(network["loadBalancer"][key])) for key in ("start", "end")]
    assert pool[1] - pool[0] + 1 >= 3 + 2 + 1 + 1, "nodes, control plane, one to upgrade, the API server"
    assert balancer[0] == pool[1] + 1
    taken = int(IPv4Address("10.1.2.20"))
    assert not pool[0] <= taken <= balancer[1]


def test_names_that_are_cut_stay_apart() -> None:
    one, other = (fitted("kv-fleet-", f"munich-north-plant-{n}", 24) for n in "ab")
    assert one != other
    assert len(one) <= 24
    assert fitted("kv-fleet-", "graz", 24) == "kv-fleet-graz"


def test_an_error_of_a_draft_is_a_usage_error() -> None:
    request = SiteRequest("s", "r", None, IPv4Network("10.1.1.0/32"), IPv4Network("10.1.2.0/24"))
    with pytest.raises(FleetError) as error:
        draft_site(request, {"topology": "pilot-node"})
    assert (error.value.code, error.value.exit_code) == ("NEW005", exits.USAGE)
