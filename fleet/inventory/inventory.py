"""`Inventory`: the fleet after loading, and the places of its values."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fleet.diagnostics.diagnostic import Diagnostic, Severity, Span
from fleet.inventory.layers import Layer, Origin, find_origin, owner
from fleet.inventory.source import Path, SourceFile
from fleet.model.fleet import ModelCard, Ring
from fleet.model.site import SiteSpec


@dataclass(frozen=True)
class Site:
    """A resolved site and the layers that it was resolved from, lowest first."""

    spec: SiteSpec
    layers: tuple[Layer, ...]

    @property
    def name(self) -> str:
        """The site's name."""
        return self.spec.name

    def origin(self, path: Path) -> Origin:
        """Where the value at `path` (YAML keys and list indexes) was written."""
        return find_origin(self.layers, path)

    def span(self, path: Path) -> Span:
        """The place to show for `path`: the value, or the nearest parent that is written somewhere."""
        layer = None
        while path and (layer := owner(self.layers, path)) is None:
            path = path[:-1]
        if layer is None:
            layer = self.layers[-1]
            return layer.file.start
        return layer.file.locate((*layer.at, *path))

    def diagnostic(
        self,
        code: str,
        severity: Severity,
        message: str,
        path: Path,
        help_text: str | None,
        *,
        redact: bool = False,
    ) -> Diagnostic:
        """A finding about this site, shown where the value at `path` was written."""
        span = self.span(path)
        file = next(layer.file for layer in self.layers if layer.file.path == span.path)
        return Diagnostic(
            code, severity, message, span, help_text, None if redact else file.line(span.line), (self.name,)
        )


@dataclass(frozen=True)
class Inventory:
    """A fleet. `sites` are in the order of their names, `rings` in the order of the rollout."""

    name: str
    file: SourceFile
    rings: tuple[Ring, ...]
    sites: tuple[Site, ...]
    models: Mapping[str, ModelCard]
    site_files: int
    """How many site files were read; more than `sites` when some could not be used."""
    used_rings: frozenset[str]
    """Rings that any site file names, also one that could not be resolved."""
    raw: Mapping[str, Any]
    """`fleet.yaml` as plain values, for rules about what no site uses."""

    def site(self, name: str) -> Site | None:
        """The site of that name."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, Site]:
        return {site.name: site for site in self.sites}

    def sites_of(self, ring: str) -> tuple[Site, ...]:
        """The sites of a ring, by name."""
        return tuple(site for site in self.sites if site.spec.ring == ring)
