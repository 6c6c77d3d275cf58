"""Rules about container images."""

import re
from collections.abc import Iterator

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.source import Path

# A first part without a dot, a port or `localhost` is a folder of a public registry, not a registry.
_HOST = r"([a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?|[a-z0-9-]+:\d+|localhost)"
_PATH = r"(/[a-z0-9][a-z0-9._-]*)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?"
PINNED = re.compile(_HOST + _PATH + r"@sha256:[0-9a-f]{64}")


def images(site: Site) -> Iterator[tuple[Path, str]]:
    """Every image that a site names, with its path."""
    spec = site.spec
    for name, deployment in spec.inference.items():
        yield ("inference", name, "image"), deployment.image
    for name, agent in spec.agents.items():
        yield ("agents", name, "image"), agent.image
    for name, tool in spec.tools.items():
        yield ("tools", name, "image"), tool.image
    for name, sandbox in spec.sandboxes.items():
        yield ("sandboxes", name, "image"), sandbox.image


def _pinned(site: Site, _: Inventory) -> Iterator[Finding]:
    for path, image in images(site):
        if not PINNED.fullmatch(image):
            yield Finding(
                path,
                f"the image {image!r} is not pinned",
                "a tag can be moved: write host/name@sha256:… with the digest that you tested",
            )


RULES = (
    Rule(
        code="IMG001",
        summary="every image is named with its registry and pinned by digest",
        source="requirement C9; the OCI distribution specification's reference grammar",
        check_site=_pinned,
    ),
)
