"""`Inventory`: the fleet after loading, and the places of its values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fleet.diagnostics.diagnostic import Diagnostic, Severity, Span
from fleet.inventory.layers import Layer, Origin, find_origin, owner
from fleet.inventory.source import Path, SourceFile
from fleet.model.fleet import ModelCard, Ring
from fleet.model.site import SiteSpec


def span_at(layers: Sequence[Layer], path: Path) -> Span:
    """The place of `path` in a site of these layers, or of the nearest parent that is written somewhere."""
    layer = None
    while path and (layer := owner(layers, path)) is None:
        path = path[:-1]
    if layer is None:
        return layers[-1].file.start
    return layer.file.locate((*layer.at, *path))


def line_at(layers: Sequence[Layer], span: Span) -> str | None:
    """The text of a span's first line; None where a secret stands in it."""
    file = next(layer.file for layer in layers if layer.file.path == span.path)
    return file.line(span.line)


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
        return span_at(self.layers, path)

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
        line = None if redact else line_at(self.layers, span)
        return Diagnostic(code, severity, message, span, help_text, line, (self.name,))


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


class WatchedInventory(Inventory):
    """The fleet as one site's check is given it: other sites are loaded when the check looks at them.

    `looked` says whether it did: its findings then depend on more than the site's own file.
    """

    def __init__(self, fleet: Inventory, load: Callable[[], Inventory]) -> None:
        """`fleet` has all that `fleet.yaml` says, and no sites; `load` gives it with them."""
        for name in ("name", "file", "rings", "models", "raw"):
            object.__setattr__(self, name, getattr(fleet, name))
        object.__setattr__(self, "_load", load)
        object.__setattr__(self, "looked", False)

    def __getattr__(self, name: str) -> Any:
        """Called for what was not set: that of the whole fleet."""
        if name not in ("sites", "site_files", "used_rings"):
            raise AttributeError(name)
        object.__setattr__(self, "looked", True)
        return getattr(self._load(), name)

    if TYPE_CHECKING:  # set above past the frozen class
        looked: bool
        _load: Callable[[], Inventory]
