"""What Azure says of one site, and how readers of its resources say it. Pure."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from fleet.app.azure_import.body import Body
from fleet.app.site_draft import wrong_value
from fleet.inventory.schema import Schema, child, schema
from fleet.inventory.secret_shapes import secret_shape
from fleet.inventory.source import Path
from fleet.ports.azure import AzureResources, JsonObject

FLEETS_TAGS = ("environment", "managed-by", "ring", "site")
"""The tags of every resource that fleet made (stacks/names.py)."""


@dataclass
class Reading:
    """What Azure says of one site.

    `told` are fields as Azure has them; None where Azure says that there is none. `guessed` are proposals
    for fields that it can't tell. `untold` says why a field is not told, by its path. `fieldless` is what
    Azure has and the inventory has no field for: (resource type, path), never values, for a secret may be
    among them.
    """

    cluster_id: str
    subscription: str
    group: str
    cluster: str
    tags: dict[str, str] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    guessed: dict[str, Any] = field(default_factory=dict)
    untold: dict[Path, str] = field(default_factory=dict)
    fieldless: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    """Ids, in lower case, of the resources that belong to this site."""
    flux_host: str | None = None
    """The registry that Flux pulls from: the site's own, or the one of `delivery`."""

    @property
    def fleets(self) -> bool:
        """Whether fleet made the cluster, by its tags."""
        return self.tags.get("managed-by") == "fleet"


def shown(value: object) -> str:
    """A value of Azure's for people: in one line, without control characters, and not a secret."""
    text = json.dumps(value)
    return "(not shown: it looks like a secret)" if secret_shape(text) else text[:200]


class Teller:
    """Fills the reading of one site; remembers which resources were read whole."""

    def __init__(self, cluster: JsonObject, azure: AzureResources) -> None:
        self.azure, self.cluster = azure, Body(cluster)
        parts = self.cluster.id.split("/")
        self.out = Reading(self.cluster.id, parts[2], parts[4], self.cluster.name)
        self.bodies = [self.cluster]
        self._schema = schema("site")

    def tell(self, value: Any, *path: str) -> None:
        """Azure's value of a field, if the inventory takes it; else why it is not told."""
        if value is None:
            return
        if not self.knows(*path):
            self.out.notes.append(f"{dotted(path)} is {shown(value)} in Azure; the inventory has no field")
        elif not _printable(value) or wrong_value(path, value):
            self.out.untold[path] = f"Azure has {shown(value)}, and the inventory takes no such value"
        else:
            _put(self.out.told, path, value)

    def knows(self, *path: str) -> bool:
        """Whether a site has such a field."""
        node: Schema | None = self._schema
        for step in path:
            node = child(self._schema, node, step) if node else None
        return bool(node)

    def none(self, *path: str) -> None:
        """Azure says that there is none."""
        if self.knows(*path):
            _put(self.out.told, path, None)

    def guess(self, value: Any, *path: str) -> None:
        """Propose a value that Azure can't tell."""
        _put(self.out.guessed, path, value)

    def elsewhere(self, what: str, resource_id: str, wanted: str) -> None:
        """A note where a resource is not where `fleet up` would look for it, by the last part of its id."""
        if resource_id.lower() != wanted.lower():
            self.out.notes.append(
                f"{what} is {shown(resource_id)}; fleet uses {shown(wanted)}, and has no field for others"
            )

    def in_group(self, kind: str, name: object) -> str:
        """The id of a resource in the cluster's own group, where `fleet up` has everything."""
        group = f"/subscriptions/{self.out.subscription}/resourceGroups/{self.out.group}"
        return f"{group}/providers/{kind}/{name}"

    def use(self, body: JsonObject | None) -> Body | None:
        """The resource, to be read whole: what is not looked at is reported."""
        if body is None:
            return None
        self.bodies.append(Body(body))
        return self.bodies[-1]

    def finished(self) -> Reading:
        """The reading, with what nobody looked at."""
        for body in self.bodies:
            self.out.used.add(body.id.lower())
            self.out.fieldless += [(body.kind, path) for path in body.unseen()]
        return self.out


def dotted(path: Path) -> str:
    """A path for people; a step that is no plain word is quoted, for it may be a name from Azure."""
    return ".".join(s if re.fullmatch(r"[-\w]+", s, re.ASCII) else shown(s) for s in map(str, path))


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for step in path[:-1]:
        tree = tree.setdefault(step, {})
    tree[path[-1]] = value


def _printable(value: Any) -> bool:
    """Whether no text in it has a line break, a control or another character that a file can't show."""
    if isinstance(value, dict):
        return all(_printable(key) and _printable(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_printable, value))
    return not isinstance(value, str) or value.isprintable()


def of(value: Any, key: str) -> Any:
    """The value at `key`, if `value` is a mapping that has one."""
    return value.get(key) if isinstance(value, dict) else None


def only(**values: Any) -> dict[str, Any]:
    """The values that there are."""
    return {key: value for key, value in values.items() if value is not None}
