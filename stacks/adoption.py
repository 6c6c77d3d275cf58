"""What a site had before fleet, and keeps: role assignments under names that fleet would not have given.

Azure refuses a second assignment of the same principal, role and scope under another name, and a name can't
be changed (facts 1.1). So an assignment that was made by hand, by Bicep or by Terraform keeps its GUID, and
the program must know it for as long as the site lives: it stands in `adopted/<site>.yaml` beside
`fleet.yaml`, where `fleet adopt` writes it and a reviewer sees it. It holds ids and no secrets.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import yaml

from .errors import StackError

ROLE_ASSIGNMENT = "azure-native:authorization:RoleAssignment"
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEADER = (
    "# Written by `fleet adopt {site}`: role assignments of before fleet, which keep their names in Azure.\n"
)


@dataclass(frozen=True)
class AdoptedRole:
    """A role assignment by its resource's name in the program, its GUID in Azure, and whose right it is.

    With another principal, such as a machine's after its operating system was installed again, the
    assignment is a new one, and gets fleet's own name.
    """

    resource: str
    name: str
    principal: str


def adopted_file(inventory_folder: Path, site: str) -> Path:
    """Where a site's adopted role assignments are written."""
    return inventory_folder / "adopted" / f"{site}.yaml"


def read_adopted(inventory_folder: Path, site: str) -> tuple[AdoptedRole, ...]:
    """A site's adopted role assignments, by resource; none without a file.

    Raises `StackError` for a file that is not as `adopted_text` writes it: taken for none, each assignment
    in it would be declared a second time.
    """
    path = adopted_file(inventory_folder, site)
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))["roleAssignments"]
        found = [
            AdoptedRole(str(name), str(row["name"]), str(row["principal"])) for name, row in rows.items()
        ]
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise StackError(f"{path} is not what fleet adopt wrote there ({type(error).__name__})") from None
    wrong = [
        role.resource
        for role in found
        if not (_GUID.fullmatch(role.name) and _GUID.fullmatch(role.principal))
    ]
    if wrong:
        raise StackError(f"{path}: {wrong[0]}: name and principal are GUIDs")
    return tuple(sorted(found, key=lambda role: role.resource))


def adopted_text(site: str, roles: tuple[AdoptedRole, ...]) -> str:
    """The file's text; the same for the same roles in any order."""
    rows = {
        role.resource: {"name": role.name, "principal": role.principal}
        for role in sorted(roles, key=lambda role: role.resource)
    }
    return _HEADER.format(site=site) + yaml.safe_dump({"roleAssignments": rows}, sort_keys=False)


def keep_names(roles: tuple[AdoptedRole, ...]) -> pulumi.ResourceTransformation:
    """A transformation that gives adopted role assignments the names that they have."""
    by_resource = {role.resource: role for role in roles}

    def kept(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        role = by_resource.get(args.name) if args.type_ == ROLE_ASSIGNMENT else None
        if role is None:
            return None
        props: Mapping[str, Any] = args.props
        name = pulumi.Output.all(props["role_assignment_name"], props["principal_id"]).apply(
            lambda both: role.name if both[1].lower() == role.principal.lower() else both[0]
        )
        return pulumi.ResourceTransformationResult({**props, "role_assignment_name": name}, args.opts)

    return kept
