"""The rules that a fleet is checked by: those of installed packages, and the fleet's own policies."""

from pathlib import Path

from fleet.inventory.rule import Rule, installed_rules

POLICIES = "policies"
"""The folder beside `fleet.yaml` in which an organisation's Rego policies are looked for."""


def rules_for(inventory: Path, policies: Path | None = None) -> tuple[Rule, ...]:
    """Installed rules, and one for each code of the policies in `policies`, or of those beside `fleet.yaml`.

    `inventory` is the folder or its `fleet.yaml`. A folder `policies` that holds no `.rego` file is not ours.
    Raises `PolicyError` (POL001 to POL004) and `FleetError` (POL009, POL010) as `fleet.adapters.rego` does.
    """
    root = inventory if inventory.is_dir() else inventory.parent
    folder = policies if policies is not None else root / POLICIES
    if policies is None and next(folder.rglob("*.rego"), None) is None:
        return installed_rules()
    from fleet.adapters.rego import policy_rules

    return (*installed_rules(), *policy_rules(folder))
