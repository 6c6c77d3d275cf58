"""Rules about what is written down and used by nobody, and about files that are named misleadingly."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Across, Fact, Finding, FleetFacts, Rule


def _profile_facts(site: Site, _: Inventory) -> Iterator[Fact]:
    if site.spec.profile is not None:
        yield (site.spec.profile,)


def _profiles(fleet: FleetFacts) -> Iterator[Finding]:
    if not fleet.complete:
        return
    used = {fact[0] for _, fact in fleet.rows}
    profiles = fleet.raw.get("profiles")
    for name in profiles if isinstance(profiles, Mapping) else ():
        if name not in used:
            yield Finding(
                ("profiles", name),
                f"no site has the profile {name!r}",
                "take it out: what nobody uses is not tried, and is wrong when it is needed",
            )


def _model_facts(site: Site, _: Inventory) -> Iterator[Fact]:
    for deployment in site.spec.inference.values():
        yield (deployment.model,)


def _models(fleet: FleetFacts) -> Iterator[Finding]:
    if not fleet.complete:
        return
    used = {fact[0] for _, fact in fleet.rows}
    packages, models = fleet.raw.get("packages"), fleet.raw.get("models")
    for package in packages.values() if isinstance(packages, Mapping) else ():
        if isinstance(package, Mapping):
            used.add(package.get("model"))
    for name in models if isinstance(models, Mapping) else ():
        if name not in used:
            yield Finding(
                ("models", name),
                f"no site serves the model {name!r}, and no package holds it",
                "take its card out, or serve it",
            )


def _file_name(site: Site, _: Inventory) -> Iterator[Finding]:
    path = PurePosixPath(site.layers[-1].file.path)
    if path.stem != site.name:
        yield Finding(
            ("name",),
            f"the site {site.name!r} is in {path.name}",
            f"name the file {site.name}{path.suffix}: that is where people look for it",
        )


RULES = (
    Rule(
        code="FLT016",
        summary="a site has each profile",
        source="fleet/model/fleet.py: a profile is what sites share",
        severity="warning",
        across=Across(_profiles, _profile_facts),
    ),
    Rule(
        code="FLT017",
        summary="each model card is of a model that is served or packed",
        source="fleet/model/fleet.py: cards are read for what is served",
        severity="warning",
        across=Across(_models, _model_facts),
    ),
    Rule(
        code="FLT018",
        summary="a site's file has the site's name",
        source="docs/inventory.md: one file a site under sites/",
        severity="warning",
        check_site=_file_name,
    ),
)
