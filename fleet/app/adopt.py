"""Taking over a site that exists in Azure: all is shown before anything is owned; Azure is not changed.

What exists and agrees with the inventory becomes the site's state as it is. What differs is recorded as Azure
has it, so that a plan shows the difference. What is missing is not made here: `fleet up` makes it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fleet.app.site import PROJECT, SiteApplier, site_content
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.plan.adoption import Adoption, refusal
from fleet.ports.adoption import Adopter, Looked, OtherName
from fleet.ports.azure import AzureReader, JsonObject, type_of
from fleet.ports.engine import StackRef, StackRun

Program = Callable[[], None]
KeepNames = Callable[[Program, tuple[OtherName, ...]], Program]
"""A program that gives role assignments the names which they have in Azure."""

_RESOURCES_VERSION = "2024-03-01"  # facts 6
_MADE_BY_AZURE = frozenset(
    {
        "microsoft.resourceconnector/appliances",
        "microsoft.extendedlocation/customlocations",
        "microsoft.azurestackhci/storagecontainers",
    }
)
"""What a deployment makes by itself; it is never declared (facts 1.2, step 11)."""


@dataclass(frozen=True)
class Adopted:
    """How it went. `refused` says why nothing was taken over although it was asked for."""

    adoption: Adoption
    other_names: tuple[OtherName, ...] = ()
    done: bool = False
    refused: str | None = None


@dataclass(frozen=True)
class SiteAdopter:
    """Takes sites over through the ports that it is given."""

    applier: SiteApplier
    adopter: Adopter
    azure: AzureReader
    keep_names: KeepNames
    remember: Callable[[SiteSpec, tuple[OtherName, ...]], None]
    """Keeps those names for later runs; called before the state says that they are the site's."""

    def adopt(self, spec: SiteSpec, *, own: bool = False, accept_differences: bool = False) -> Adopted:
        """Put the site beside Azure; with `own` take it over, unless `refusal` has something against it.

        Raises `FleetError`, as `Adopter.look` does, and for a secret that is missing (SEC010, with `own`).
        """
        there = self._there(spec)  # first, because what it raises is said plainly: sign-in, rights, group
        secrets = self._secrets(spec) if own else {}
        content = site_content(spec)
        program = self.applier.program_of(spec, "deploy", content.url, content.artifact.digest)
        names: tuple[OtherName, ...] = ()
        while True:
            run = StackRun(
                StackRef(PROJECT, spec.name), program, config={"phase": "deploy"}, secret_config=secrets
            )
            with self.adopter.look(run, to_own=own) as looked:
                if looked.other_names and not names:  # looked at again, with the names that they have
                    names = looked.other_names
                    program = self.keep_names(program, names)
                    continue
                adoption = self._beside(spec, looked, there)
                if not own:
                    return Adopted(adoption, names)
                refused = refusal(adoption, accept_differences=accept_differences)
                if refused is None and adoption.taken:
                    self.remember(spec, names)
                    looked.own()
                return Adopted(adoption, names, done=refused is None, refused=refused)

    def _secrets(self, spec: SiteSpec) -> dict[str, str]:
        bootstrap = spec.azure_local.secrets
        return {
            "localAdmin": self.applier.secrets.resolve(bootstrap.local_admin),
            "lcmUser": self.applier.secrets.resolve(bootstrap.lcm_user),
        }

    def _there(self, spec: SiteSpec) -> list[JsonObject]:
        group = f"/subscriptions/{spec.azure.subscription}/resourceGroups/{spec.azure.resource_group}"
        if self.azure.find(group, _RESOURCES_VERSION) is None:
            message = (
                f"there is no resource group {spec.azure.resource_group!r}, so there is nothing to adopt"
            )
            raise FleetError("ADP001", message, f"fleet up {spec.name} makes a new site's resources", 2)
        return list(self.azure.list(f"{group}/resources", _RESOURCES_VERSION))

    def _beside(self, spec: SiteSpec, looked: Looked, there: list[JsonObject]) -> Adoption:
        declared = {resource.id.lower() for resource in looked.resources}
        machines = {node.name.lower() for node in spec.azure_local.nodes}
        return Adoption(spec.name, looked.resources, nobodys(there, spec.name, declared, machines))


def nobodys(
    there: Iterable[JsonObject], site: str, declared: set[str], machines: set[str]
) -> tuple[str, ...]:
    """Ids in a resource group that neither the site's program nor another site of fleet's has, sorted.

    `declared` are ids and `machines` names of Arc machines, in lower case. What Azure's deployment makes by
    itself is nobody's to declare, and left out.
    """
    found = []
    for body in filter(lambda item: isinstance(item, dict), there):
        resource_id, kind = str(body.get("id", "")), type_of(body).lower()
        tags = body.get("tags") if isinstance(body.get("tags"), dict) else {}
        of_fleet = (tags or {}).get("managed-by") == "fleet" and (tags or {}).get("site") not in (None, site)
        machine = (
            kind == "microsoft.hybridcompute/machines" and resource_id.lower().rsplit("/", 1)[-1] in machines
        )
        if not (resource_id.lower() in declared or kind in _MADE_BY_AZURE or of_fleet or machine):
            found.append(resource_id)
    return tuple(sorted(found))
