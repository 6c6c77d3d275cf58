"""The secrets that Azure Local's deployment reads from Key Vault (facts 1.5)."""

import base64
from dataclasses import dataclass

import pulumi

from .errors import StackError

_CONFIG_KEYS = {"localAdmin": "azureLocal.secrets.localAdmin", "lcmUser": "azureLocal.secrets.lcmUser"}


@dataclass(frozen=True)
class BootstrapSecrets:
    """Base64 of `user:password` for the two accounts, each a secret output."""

    local_admin: pulumi.Output[str]
    lcm_user: pulumi.Output[str]


def read_bootstrap_secrets() -> BootstrapSecrets:
    """The accounts from the stack's secret configuration, `fleet:localAdmin` and `fleet:lcmUser`.

    A preview needs neither: a missing value is an unknown there.
    Raises `StackError` naming what is missing when resources would be changed, before anything is.
    """
    config = pulumi.Config("fleet")
    values = {key: config.get_secret(key) for key in _CONFIG_KEYS}
    missing = [key for key, value in values.items() if value is None]
    if missing and not pulumi.runtime.is_dry_run():
        lines = [
            f"  fleet:{key} (in the inventory: {_CONFIG_KEYS[key]}): pulumi config set --secret fleet:{key}"
            for key in missing
        ]
        raise StackError("these secrets of the deployment have no value:\n" + "\n".join(lines))
    return BootstrapSecrets(_encoded(values["localAdmin"]), _encoded(values["lcmUser"]))


def unknown_secret() -> pulumi.Output[str]:
    """A secret that is not known yet. Never a literal: one could end up as the value in Key Vault."""
    unknown: pulumi.Output[str] = pulumi.Output.secret(pulumi.UNKNOWN)  # type: ignore[arg-type] # stands for any type
    return unknown


def base64_of(value: str) -> str:
    """Base64 of the text's UTF-8, as Azure Local expects its secrets (facts 1.5)."""
    return base64.b64encode(value.encode()).decode()


def _encoded(value: pulumi.Output[str] | None) -> pulumi.Output[str]:
    return unknown_secret() if value is None else value.apply(base64_of)
