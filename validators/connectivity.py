"""Rules about how a site reaches what it needs."""

from collections.abc import Iterator

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule


def _sources_on_site(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    mode = spec.connectivity.mode
    if mode == "connected":
        return
    for key, value in (("registry", spec.registry), ("modelCache", spec.model_cache)):
        if value is None:
            yield Finding(
                ("connectivity", "mode"),
                f"a {mode} site needs a {key} of its own",
                f"add '{key}:' to the site or its profile",
            )


RULES = (
    Rule(
        code="CON001",
        summary="a constrained or disconnected site has its own registry and model cache",
        source="requirement A5",
        check_site=_sources_on_site,
    ),
)
