"""Rules about secrets. None of these is one: they only have the shape, and are put together so that no scanner minds."""

import pytest

from tests.factory import check
from tests.unit.rules.cases import FLEET, GRAZ, Case, Cases, Edits, rule_tests

JWT = "eyJ" + "a" * 10 + ".eyJ" + "b" * 10
SHAPES = {
    "an API key": "sk-" + "aB1_-" * 4,
    "a JSON web token": JWT + ".",
    "a storage account key": "AccountKey=" + "aB1+/" * 7 + "abc==",
    "a shared access signature": "https://a.example/c?sv=1&sig=" + "a%2B=" * 4,
    "a password in a URL": "redis://me:pw@cache.example",
    "an age identity": "AGE-SECRET-" + "KEY-1" + "QZ3X7" * 4,
    "a private key": "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
}  # fmt: skip


def label(text: str) -> Edits:
    """A label of Graz with this text."""
    return {GRAZ: [("line: assembly", f'line: "{text}"')]}


CASES = {
    "SEC001": Cases(
        fires=[
            *(Case(label(text), f"sites/graz.yaml:6 labels.line holds {kind}") for kind, text in SHAPES.items()),
            *(Case(label(text), "sites/graz.yaml:6 labels.line holds a GitHub token")
              for text in (*(f"gh{kind}_" + "aB1" * 10 for kind in "pousr"), "github_pat_" + "a_B" * 10)),
            Case(label("?" + "sig=" + "a" * 20), "sites/graz.yaml:6 labels.line holds a shared access signature"),
            Case(label("-----BEGIN " + "PRIVATE KEY-----"), "sites/graz.yaml:6 labels.line holds a private key"),
            Case(label("postgresql+psycopg://a:b@c"), "sites/graz.yaml:6 labels.line holds a password in a URL"),
            Case(label("key " + SHAPES["an API key"] + " of ours"), "sites/graz.yaml:6 labels.line holds an API key"),
            # in the shared layers, in lists, and where no site uses it
            Case({FLEET: [("domainFqdn: factory.example", "domainFqdn: https://me:pw123@factory.example")]},
                 "fleet.yaml:{domainFqdn} defaults.azureLocal.domainFqdn holds a password in a URL", also=("AZL023",)),
            Case({FLEET: [("adapters: [ethernet 3, ethernet 4]", f"adapters: [ethernet 3, ethernet 4, {SHAPES['an API key']}]")]},
                 "fleet.yaml:{traffic: [Storage]} defaults.azureLocal.intents.1.adapters.2 holds an API key"),
            Case({FLEET: [("  pilot:\n", f"  unused: {{labels: {{line: {SHAPES['an API key']}}}}}\n  pilot:\n")]},
                 "fleet.yaml:{unused} profiles.unused.labels.line holds an API key", also=("FLT016",)),
        ],
        near=[
            *(label(text[:-1]) for kind, text in SHAPES.items() if kind not in ("a password in a URL",)),
            *(label(f"gh{kind}_" + "aB1" * 9 + "aB") for kind in "pousr"),
            label("ghx_" + "a" * 40),
            label("github_pat_" + "a" * 29),
            label("task-" + "a" * 20),  # the word has another start
            label("eyJ" + "a" * 9 + ".eyJ" + "b" * 10 + "."),
            label("eyJ" + "a" * 10 + ".eyJ" + "b" * 9 + "."),
            label("-----BEGIN PUBLIC KEY-----"),
            label("redis://cache.example:6379/a@b"),
            label("redis://me@cache.example"),
            {FLEET: [("domainFqdn: factory.example", "domainFqdn: me.factory.example")]},
        ],
    ),
}  # fmt: skip

RANDOM = "q7Rf2Kz9Wm4Xb8Tn3Vc6"
"""Twenty letters and digits, drawn."""
HEX = "3f9a1c7e5b2d8f604a6c9e1b7d3f5a82"
MESSAGE = "sites/graz.yaml:6 labels.line holds long random text, as secrets are"
ADMIN = "localAdmin: {env: FLEET_LOCAL_ADMIN}"
LCM = "lcmUser: {env: FLEET_LCM_USER}"


def admin_file(path: str) -> Edits:
    """The local administrator's secret in this file."""
    return {FLEET: [(ADMIN, f"localAdmin: {{file: {path}}}")]}


def kubeconfig_file(path: str) -> Edits:
    """The secret of a cluster's kubeconfig in this file."""
    return {GRAZ: [("kubernetes:\n", f"kubernetes:\n  kubeconfig: {{file: {path}}}\n")]}


def at_admin(path: str) -> tuple[str, ...]:
    """What SEC003 says of it, once for each site."""
    return (f"fleet.yaml:{{localAdmin}} the secret's file {path!r} is in the inventory's folder",)


CASES |= {
    "SEC002": Cases(
        fires=[
            Case(label(RANDOM), MESSAGE),
            Case(label("key " + RANDOM + " of ours"), MESSAGE),
            Case(label("abc8Q~" + RANDOM + "."), MESSAGE),
            Case(label(HEX), MESSAGE),
            Case(label(HEX.upper()), MESSAGE),
            Case(label(HEX * 2 + "00"), MESSAGE),
            Case({FLEET: [("domainFqdn: factory.example", f"domainFqdn: {RANDOM}.example")]},
                 "fleet.yaml:{domainFqdn} defaults.azureLocal.domainFqdn holds long random text", also=("AZL024",)),
        ],
        near=[
            label(RANDOM[:-1]),
            label(HEX[:-1]),
            label(HEX + HEX[:8]),  # a commit
            label("sha256:" + HEX * 2),
            label("5e0c2f1a-0000-4000-8000-000000000001"),
            label("aB1" * 12),  # it repeats
            label("MicrosoftAzureStackHCI2311Provider"),  # words
            label("/subscriptions/7c1d9a52-0000-4000-8000-0000000000f1/resourceGroups/RG1/providers/Microsoft.HybridCompute"),
            label("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + RANDOM),
            label("-----BEGIN CERTIFICATE-----" + RANDOM),
            label("sk-" + RANDOM),  # SEC001's
            {FLEET: [("domainFqdn: factory.example", "domainFqdn: factory2.example")]},
        ],
    ),
    "SEC003": Cases(
        fires=[*(Case(admin_file(path), at_admin(path)) for path in ("admin.txt", "secrets/../admin.txt", "secrets/admin")),
               Case(kubeconfig_file("graz.kubeconfig"), "sites/graz.yaml:{graz.kubeconfig} the secret's file 'graz.kubeconfig' is in")],
        near=[*(admin_file(path) for path in ("/run/secrets/admin", "../admin", "secrets/../../admin", "'C:\\\\secrets\\\\admin'")),
              kubeconfig_file("/run/secrets/graz")],
    ),
    "SEC004": Cases(
        fires=[Case({FLEET: [(LCM, "lcmUser: {env: FLEET_LOCAL_ADMIN}")]},
                    "fleet.yaml:{lcmUser} the life cycle's account has the secret of the machines' local administrator"),
               Case({FLEET: [(ADMIN, "localAdmin: {file: /run/a}"), (LCM, "lcmUser: {file: /run/a}")]},
                    "fleet.yaml:{lcmUser} the life cycle's account has the secret of")],
        near=[{FLEET: [(LCM, "lcmUser: {env: FLEET_LOCAL_ADMIN2}")]},
              {FLEET: [(ADMIN, "localAdmin: {file: /run/a}"), (LCM, "lcmUser: {file: /run/b}")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_no_diagnostic_shows_the_secret_that_it_found(kind: str) -> None:
    for edits in (label(SHAPES[kind]), {FLEET: [("", f'name: "{SHAPES[kind]}"\n')]}):
        found = check(edits)
        assert found
        assert SHAPES[kind] not in repr(found)


@pytest.mark.parametrize("text", [RANDOM, HEX])
def test_no_diagnostic_shows_random_text(text: str) -> None:
    found = check(label(text))
    assert found
    assert text not in repr(found)
