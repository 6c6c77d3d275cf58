"""Advice about Azure's errors: every row can be found, and is found by what Azure really says."""

import re
import subprocess
from collections.abc import Sequence

import pytest
import yaml

from fleet.adapters import arm_advice
from fleet.adapters.arm_advice import advice_about, advice_about_sign_in, known_codes
from fleet.adapters.azure_cli import AzureCliToken
from fleet.diagnostics.diagnostic import FleetError
from tests.factory import ROOT


def test_every_row_says_what_happened_what_to_do_and_where_that_was_read() -> None:
    data = yaml.safe_load((ROOT / "fleet" / "adapters" / "arm_advice.yaml").read_text())
    assert sorted(data["codes"]) == list(data["codes"])
    for rows in data.values():
        for name, row in rows.items():
            assert row["what"], name
            assert row["do"], name
            assert row["source"], name
            assert not row["what"].endswith("."), name


def test_there_is_advice_about_the_sandboxs_own_problems_but_for_those_that_pass() -> None:
    problems = yaml.safe_load((ROOT / "fleet" / "sandbox" / "arm" / "problems.yaml").read_text())
    passing = {"GatewayTimeout", "InternalServerError", "ServerBusy", "ServiceUnavailable"}
    assert set(problems) - known_codes() - passing == set()


@pytest.mark.parametrize(
    ("code", "message", "resource", "what"),
    [
        ("QuotaExceeded", "", "", "no quota left"),
        ("PulumiError", 'Status=403 Code="AuthorizationFailed" Message="The client"', "key-vault", "lacks the right"),
        ("PulumiError", "RESPONSE 409: 409 Conflict\nERROR CODE: VaultAlreadyExists\n", "", "unique in all of Azure"),
        ("PulumiError", '{"error":{"code":"InvalidAuthenticationTokenTenant"}}', "", "another tenant"),
        ("StepFailed", "no more (HTTP 409, ResourceQuotaExceeded; request id 1)", "", "no quota left"),
        ("PulumiError", "please run 'az login' to set up account", "", "did not accept the sign-in"),
        ("NodeNotReachable", "", "deployment", "validation or deployment ended badly"),
        ("Timeout", "", "node-pool-inference", "AKS could not be brought"),
        # The code says more than the resource does.
        ("QuotaExceeded", "", "deployment", "no quota left"),
    ],
)  # fmt: skip
def test_a_known_error_is_explained(code: str, message: str, resource: str, what: str) -> None:
    advice = advice_about(code, message, resource)
    assert advice is not None
    assert what in advice.what


@pytest.mark.parametrize(
    ("code", "message", "resource"),
    [
        ("SomethingNew", "", "witness"),
        ("PulumiError", 'Code="SomethingNew"', "key-vault"),
        ("", "", ""),
        ("quotaexceeded", "", ""),
        ("X", "the deployment of the witness", "my-deployment"),
    ],
)
def test_an_unknown_error_is_not_explained_away(code: str, message: str, resource: str) -> None:
    assert advice_about(code, message, resource) is None


def test_advice_names_no_code_twice() -> None:
    # Aliases are one row; a code that stands twice would hide the first.
    lines = (ROOT / "fleet" / "adapters" / "arm_advice.yaml").read_text().splitlines()
    keys = [line.split(":")[0] for line in lines if line.startswith("  ") and not line.startswith("    ")]
    assert len(keys) == len(set(keys)) == len(arm_advice._table()["codes"]) + 5


def az(stderr: str) -> AzureCliToken:
    def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", stderr)

    return AzureCliToken(
        "7c1d9a52-0000-4000-8000-0000000000f1", run=run, which=lambda name: f"/usr/bin/{name}"
    )


@pytest.mark.parametrize(
    ("stderr", "what", "do"),
    [
        ("ERROR: Please run 'az login' to setup account.", "did not accept the sign-in", "az login"),
        ("ERROR: AADSTS700082: The refresh token has expired", "did not accept the sign-in", "az login"),
        ("ERROR: AADSTS50020: User account does not exist in tenant", "another tenant", "az login --tenant"),
        ("ERROR: The subscription of 'x' doesn't exist in cloud 'AzureCloud'.", "another tenant", "--tenant"),
        ("ERROR: disk full", "disk full", "az login"),
    ],
)
def test_the_azure_clis_words_are_explained(stderr: str, what: str, do: str) -> None:
    with pytest.raises(FleetError) as caught:
        az(stderr)()
    assert (caught.value.code, caught.value.exit_code) == ("IMP004", 11)
    assert what in caught.value.message
    assert stderr in caught.value.message
    assert do in caught.value.help
    assert (advice_about_sign_in(stderr) is None) == (what == "disk full")


def test_the_page_about_troubles_says_what_the_table_says() -> None:
    data = yaml.safe_load((ROOT / "fleet" / "adapters" / "arm_advice.yaml").read_text())
    rows = [(row["what"], row["do"]) for part in data.values() for row in part.values()]
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    examples = re.findall(r"error\[[A-Z][a-z]\w+\]: [\w-]+: (.+)\n(?:.*\n){0,4}?.* = help: (.+)\n", page)
    assert len(examples) == page.count("    error[") - page.count("    error[ENG")
    for example in examples:
        assert example in rows
