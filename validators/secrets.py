"""Rules about secrets."""

from collections.abc import Iterator
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.random_text import random_texts
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.secret_shapes import REFERENCE_HELP, literal_secrets


def _findings(value: Any) -> Iterator[Finding]:
    for path, kind in literal_secrets(value):
        yield Finding(
            path,
            f"{'.'.join(map(str, path))} holds {kind}",
            REFERENCE_HELP,
            redact=True,
        )


def _in_site(site: Site, _: Inventory) -> Iterator[Finding]:
    yield from _findings(site.layers[-1].data)


def _in_fleet(inventory: Inventory) -> Iterator[Finding]:
    yield from _findings(inventory.raw)


def _random(value: Any) -> Iterator[Finding]:
    for path in random_texts(value):
        yield Finding(
            path,
            f"{'.'.join(map(str, path))} holds long random text, as secrets are",
            f"where it is a secret: {REFERENCE_HELP}",
            redact=True,
        )


def _random_in_site(site: Site, _: Inventory) -> Iterator[Finding]:
    yield from _random(site.layers[-1].data)


def _random_in_fleet(inventory: Inventory) -> Iterator[Finding]:
    yield from _random(inventory.raw)


def _secret_files(site: Site, _: Inventory) -> Iterator[Finding]:
    accounts = site.spec.azure_local.secrets
    for path, ref in (
        (("azureLocal", "secrets", "localAdmin"), accounts.local_admin),
        (("azureLocal", "secrets", "lcmUser"), accounts.lcm_user),
        (("kubernetes", "kubeconfig"), site.spec.kubernetes.kubeconfig),
    ):
        if ref is not None and ref.file is not None and _is_inside(ref.file):
            yield Finding(
                (*path, "file"),
                f"the secret's file {ref.file!r} is in the inventory's folder, "
                "which is under version control",
                "name a file outside, such as /run/secrets/…, or a variable: {env: …}",
            )


def _is_inside(name: str) -> bool:
    """Whether a path that starts at the inventory's folder stays in it."""
    path = PurePosixPath(name)
    if path.is_absolute() or PureWindowsPath(name).is_absolute():
        return False
    depth = 0
    for part in path.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return False
    return True


def _accounts(site: Site, _: Inventory) -> Iterator[Finding]:
    accounts = site.spec.azure_local.secrets
    if accounts.local_admin == accounts.lcm_user:
        yield Finding(
            ("azureLocal", "secrets", "lcmUser"),
            "the life cycle's account has the secret of the machines' local administrator",
            "give each its own: one is a user of the machines, the other of the deployment",
        )


RULES = (
    Rule(
        code="SEC001",
        summary="no literal secret stands in the inventory",
        source="requirements B15, P8",
        check_site=_in_site,
        check_fleet=_in_fleet,
    ),
    Rule(
        code="SEC002",
        summary="no long random text stands in the inventory",
        source="requirements B15, P8",
        severity="warning",
        check_site=_random_in_site,
        check_fleet=_random_in_fleet,
    ),
    Rule(
        code="SEC003",
        summary="a secret's file is outside the inventory's folder",
        source="requirement B15",
        severity="warning",
        check_site=_secret_files,
    ),
    Rule(
        code="SEC004",
        summary="the accounts of the deployment have secrets of their own",
        source="facts 1.5: LocalAdminCredential and AzureStackLCMUserCredential are two accounts",
        severity="warning",
        check_site=_accounts,
    ),
)
