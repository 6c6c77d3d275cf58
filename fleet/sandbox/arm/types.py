"""The stand-in's resource types (`types.yaml`): accepted API versions, durations, where each may live."""

import functools
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from fleet.sandbox.arm.errors import ArmAnswerError, bad_request

GROUP_TYPE = "Microsoft.Resources/resourceGroups"


@dataclass(frozen=True, slots=True)
class ResourceType:
    """How one resource type behaves; the fields are explained at the top of `types.yaml`.

    `put_seconds` and `delete_seconds` are real-life seconds, before the sandbox's clock factor.
    """

    name: str
    api_versions: tuple[str, ...]
    under: tuple[str, ...]
    put_seconds: float
    delete_seconds: float
    located: bool
    custom_location: bool
    write_only: tuple[str, ...]
    name_pattern: str | None
    first_answer: int | None
    exclusive: str | None
    etag: str | None
    system: bool

    @property
    def key(self) -> str:
        """The type's name as ARM compares it."""
        return self.name.lower()

    def check_api_version(self, version: str) -> None:
        """Raise ARM's 400 `NoRegisteredProviderFound`, with the accepted list, for any other version."""
        if version.lower() not in self.api_versions:
            raise bad_request(
                "NoRegisteredProviderFound",
                f"No registered resource provider found for API version '{version[:40]}' for type "
                f"'{self.name.split('/', 1)[1]}'. The supported api-versions are "
                f"'{', '.join(self.api_versions)}'.",
            )

    def check_name(self, name: str) -> None:
        """Raise ARM's 400 `InvalidResourceName` for a name that the provider would refuse."""
        if self.name_pattern and not re.search(self.name_pattern, name):
            raise bad_request(
                "InvalidResourceName",
                f"Resource name '{name}' is invalid for '{self.name}': it must match {self.name_pattern}",
            )


@dataclass(frozen=True, slots=True)
class TypeTable:
    """Every known type by lower-case name, and the fixtures in the same file."""

    types: dict[str, ResourceType]
    data: dict[str, Any]

    def find(self, full_type: str) -> ResourceType:
        """The type, or ARM's 404 (`InvalidResourceNamespace`, `InvalidResourceType`) where unknown."""
        found = self.types.get(full_type.lower())
        if found:
            return found
        namespace, _, rest = full_type.partition("/")
        if not self.namespace(namespace):
            raise ArmAnswerError(
                404, "InvalidResourceNamespace", f"The resource namespace '{namespace}' is invalid."
            )
        raise ArmAnswerError(
            404,
            "InvalidResourceType",
            f"The resource type '{rest}' could not be found in the namespace '{namespace}'. "
            f"(fleet sandbox: it is not in the stand-in's table; real Azure may know it.)",
        )

    def namespace(self, name: str) -> str | None:
        """The namespace in Azure's spelling, or None where the table has no type of it."""
        return next((n for n in self.namespaces() if n.lower() == name.lower()), None)

    def namespaces(self) -> list[str]:
        """Every namespace that can be registered: those of the table's types, and some without types."""
        typed = {kind.name.split("/", 1)[0] for kind in self.types.values()}
        return sorted(typed.union(self.data["other_namespaces"]))

    def of_namespace(self, namespace: str) -> list[ResourceType]:
        """The types of one namespace."""
        prefix = f"{namespace.lower()}/"
        return [kind for key, kind in sorted(self.types.items()) if key.startswith(prefix)]


@functools.cache
def load_types() -> TypeTable:
    """The table in `types.yaml`."""
    text = resources.files(__package__).joinpath("types.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    types: dict[str, ResourceType] = {}
    for namespace, groups in data.pop("providers").items():
        for group in groups:
            for short, rule in group["types"].items():
                kind = _resource_type(f"{namespace}/{short}", group["api_versions"], dict(rule))
                types[kind.key] = kind
    return TypeTable(types, data)


def _resource_type(name: str, versions: list[str], rule: dict[str, Any]) -> ResourceType:
    under = rule.pop("under", "group")
    kind = ResourceType(
        name=name,
        api_versions=tuple(version.lower() for version in versions),
        under=tuple([under] if isinstance(under, str) else under),
        put_seconds=float(rule.pop("put", 0)),
        delete_seconds=float(rule.pop("delete", 0)),
        located=rule.pop("located", False),
        custom_location=rule.pop("custom_location", False),
        write_only=tuple(rule.pop("write_only", ())),
        name_pattern=rule.pop("name", None),
        first_answer=rule.pop("first_answer", None),
        exclusive=rule.pop("exclusive", None),
        etag=rule.pop("etag", None),
        system=rule.pop("system", False),
    )
    if rule:
        raise ValueError(f"types.yaml: unknown keys {sorted(rule)} at {name}")
    return kind
