"""`load_inventory`: files in, an `Inventory` and every finding out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fleet.catalog import built_in_models
from fleet.diagnostics.diagnostic import Diagnostic
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.layers import SITE, Layer, holding_site, named, overlay, owner, without_site
from fleet.inventory.shape import did_you_mean, shape_diagnostics
from fleet.inventory.source import Path, SourceFile, YamlError
from fleet.model.base import SharedValues
from fleet.model.fleet import FleetFile, SiteHeader
from fleet.model.site import RESOLVED, SiteSpec
from fleet.model.supply import ModelPackage

_KIND = frozenset({"apiVersion", "kind"})
_HEADER_KEYS = tuple(info.alias or name for name, info in SiteHeader.model_fields.items())


class Fleet:
    """`fleet.yaml`, read: what sites share, laid over each other once for each profile and ring."""

    def __init__(
        self, file: SourceFile, model: FleetFile, raw: Mapping[str, Any], layers: Mapping[str, Layer]
    ) -> None:
        self.file, self.model, self.raw, self.layers = file, model, raw, layers
        self.models = {**built_in_models(), **model.models}
        self.shared = SharedValues()
        self._bases: dict[tuple[str | None, str], dict[str, Any]] = {}
        self._holding: dict[tuple[str | None, str], set[int]] = {}
        self._packages: dict[tuple[str, ...], tuple[Mapping[str, ModelPackage], Layer]] = {}

    def stack(self, profile: str | None, ring: str) -> tuple[Layer, ...]:
        """The shared layers of a site, lowest first; without those that do not exist."""
        names = ("defaults", f"profile {profile}" if profile is not None else "", f"ring {ring}")
        return tuple(self.layers[name] for name in names if name in self.layers)

    def base(self, profile: str | None, ring: str) -> dict[str, Any]:
        """What a site of that profile and ring inherits. One object for all of them: not to be changed."""
        key = (profile, ring)
        if key not in self._bases:
            merged: dict[str, Any] = {}
            for layer in self.stack(profile, ring):
                merged = overlay(merged, layer.data)
            self.shared.add(merged)
            self._bases[key] = merged
        return self._bases[key]

    def base_of(self, name: str, profile: str | None, ring: str) -> dict[str, Any]:
        """What the site `name` inherits: `base`, with `${site}` made its name. Not to be changed."""
        base, key = self.base(profile, ring), (profile, ring)
        if key not in self._holding:
            self._holding[key] = holding_site(base)
        filled: dict[str, Any] = named(base, name, self._holding[key])
        return filled

    def packages(self, site: Mapping[str, Any]) -> tuple[Mapping[str, ModelPackage], Layer] | None:
        """The packages that a site serves, and the layer that they are written in; None when it serves none.

        `site` are its merged values, right or not. What the fleet does not have is left out (MOD001 tells
        it). Sites that serve the same get the same two objects.
        """
        known = self.model.packages
        names = tuple(sorted({name for name in _packages_named(site) if name in known})) if known else ()
        if not names:
            return None
        if names not in self._packages:
            raw = {"packages": {name: self.raw["packages"][name] for name in names}}
            self._packages[names] = (
                {name: known[name] for name in names},
                Layer("packages", self.file, (), raw),
            )
        return self._packages[names]

    def inventory(self, sites: Iterable[Site], site_files: int, used_rings: Iterable[str]) -> Inventory:
        """The inventory of `sites`, whatever their order."""
        ordered = tuple(sorted(sites, key=lambda site: site.name))
        used = frozenset(used_rings)
        return Inventory(
            self.model.name, self.file, self.model.rings, ordered, self.models, site_files, used, self.raw
        )


def _packages_named(site: Mapping[str, Any]) -> Iterator[str]:
    """The packages that a site's merged values name, as the ones served and as canaries."""
    deployments = site.get("inference")
    for deployment in deployments.values() if isinstance(deployments, Mapping) else ():
        if isinstance(deployment, Mapping):
            canary = deployment.get("canary")
            for named_at in (deployment, canary if isinstance(canary, Mapping) else {}):
                if isinstance(name := named_at.get("package"), str):
                    yield name


@dataclass(frozen=True, slots=True)
class LoadedSite:
    """What one site file gave."""

    site: Site | None
    """None when it can't be resolved; then there is an error in `found`."""
    ring: str | None
    """The ring that the file names, sensible or not; None when the file can't be read at all."""
    found: tuple[Diagnostic, ...]


def load_fleet(file: SourceFile) -> tuple[Fleet | None, list[Diagnostic]]:
    """`fleet.yaml` and everything found wrong in its shape; None when it can't be used."""
    found: list[Diagnostic] = []
    raw = _read(file, found)
    model = _validate(FleetFile, raw, file, found) if raw is not None else None
    if model is None or raw is None:
        return None, found
    names = [ring.name for ring in model.rings]
    for number, name in enumerate(names):
        if name in names[:number]:
            found.append(_at(file, ("rings", number, "name"), "INV013", f"the ring {name!r} is listed twice"))
    return Fleet(file, model, raw, _shared_layers(file, model, raw, found)), found


def load_inventory(
    fleet_file: SourceFile, site_files: Sequence[SourceFile]
) -> tuple[Inventory | None, list[Diagnostic]]:
    """The fleet that the files describe, with everything found wrong in their shape.

    None when `fleet.yaml` itself can't be used. A site that can't be resolved is left out of the
    inventory and has at least one error among the diagnostics.
    """
    fleet, found = load_fleet(fleet_file)
    if fleet is None:
        return None, found
    sites: dict[str, Site] = {}
    used_rings: set[str] = set()
    for file in sorted(site_files, key=lambda f: f.path):
        loaded = load_site(fleet, file)
        found += loaded.found
        if loaded.ring is not None:
            used_rings.add(loaded.ring)
        if (site := loaded.site) is None:
            continue
        if (earlier := sites.get(site.name)) is not None:
            found.append(second_file(file, site.name, earlier.layers[-1].file.path))
            continue
        sites[site.name] = site
    return fleet.inventory(sites.values(), len(site_files), used_rings), found


def second_file(file: SourceFile, name: str, earlier: str) -> Diagnostic:
    """INV014: the site that `file` is about is already in the file `earlier`."""
    return _at(file, ("name",), "INV014", f"the site {name!r} is already in {earlier}", "rename one of them")


def _at(file: SourceFile, path: Path, code: str, message: str, help_text: str | None = None) -> Diagnostic:
    return file.diagnostic(code, message, file.locate(path), help_text)


def _read(file: SourceFile, found: list[Diagnostic]) -> dict[str, Any] | None:
    try:
        value, problems = file.load()
    except YamlError as error:
        found.append(error.diagnostic)
        return None
    found += problems
    return value if isinstance(value, dict) else None


M = TypeVar("M", bound=BaseModel)


def _validate(
    model: type[M],
    data: Mapping[str, Any],
    file: SourceFile,
    found: list[Diagnostic],
    names: Mapping[str, Iterable[str]] = MappingProxyType({}),
) -> M | None:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found += shape_diagnostics(model, error, lambda path, key: (file, path), names=names)
        return None


def _shared_layers(
    file: SourceFile, fleet: FleetFile, raw: Mapping[str, Any], found: list[Diagnostic]
) -> dict[str, Layer]:
    """The layers that sites share, each checked for itself so that an unused one is checked too."""
    written: dict[str, tuple[Path, Mapping[str, Any]]] = {
        "defaults": (("defaults",), raw.get("defaults") or {}),
        **{f"profile {name}": (("profiles", name), raw["profiles"][name] or {}) for name in fleet.profiles},
    }
    for number, ring in enumerate(fleet.rings):
        data = raw["rings"][number].get("defaults") or {}
        written[f"ring {ring.name}"] = ("rings", number, "defaults"), data
    layers = {name: _layer(name, file, at, data, found) for name, (at, data) in written.items()}
    for layer in layers.values():
        _check_layer(layer, found)
    return layers


def _layer(name: str, file: SourceFile, at: Path, data: Mapping[str, Any], found: list[Diagnostic]) -> Layer:
    """The layer that is written at `at`. What no layer may give is told, and is not part of it."""
    if RESOLVED.isdisjoint(data):
        return Layer(name, file, at, data)
    for key in sorted(RESOLVED.intersection(data)):
        message = f"{key!r} belongs at the top of fleet.yaml"
        found.append(_at(file, (*at, key), "INV010", message, "move it there"))
    return Layer(name, file, at, {key: value for key, value in data.items() if key not in RESOLVED})


def _check_layer(layer: Layer, found: list[Diagnostic]) -> None:
    """Unknown keys and wrong values of one layer; what it leaves out may stand in another."""
    for key in ("name", "ring", "profile"):
        if key in layer.data and not layer.name.startswith("site "):
            found.append(
                _at(
                    layer.file,
                    (*layer.at, key),
                    "INV010",
                    f"{key!r} belongs in the site's own file",
                    "move it there",
                )
            )
    # Whether a name that is made of a site's has its shape is told at the site.
    data = without_site(layer.data, holding_site(layer.data))
    try:
        SiteSpec.model_validate(overlay({}, data))
    except ValidationError as error:
        found += shape_diagnostics(
            SiteSpec, error, lambda path, key: (layer.file, (*layer.at, *path)), ignore_missing=True
        )


def load_site(fleet: Fleet, file: SourceFile) -> LoadedSite:
    """The site that `file` describes, resolved, and everything found wrong in its shape."""
    found: list[Diagnostic] = []
    raw = _read(file, found)
    if raw is None:
        return LoadedSite(None, None, tuple(found))
    ring = str(raw.get("ring"))
    rings = [known.name for known in fleet.model.rings]
    names = {"profile": fleet.model.profiles, "ring": rings}
    header = _validate(SiteHeader, {key: raw[key] for key in _HEADER_KEYS if key in raw}, file, found, names)
    own: Mapping[str, Any] = {key: value for key, value in raw.items() if key not in _KIND}
    if header is None:
        # What the header complained about isn't to be told again, without its help.
        rest = {key: value for key, value in own.items() if key not in _HEADER_KEYS}
        _check_layer(_layer("site ?", file, (), rest, found), found)
        return LoadedSite(None, ring, tuple(found))

    usable = True
    if header.profile is not None and f"profile {header.profile}" not in fleet.layers:
        usable = False
        message = f"there is no profile {header.profile!r}"
        found.append(
            _at(file, ("profile",), "INV015", message, did_you_mean(header.profile, fleet.model.profiles))
        )
    if f"ring {header.ring}" not in fleet.layers:
        usable = False
        message = f"there is no ring {header.ring!r}"
        found.append(_at(file, ("ring",), "INV016", message, did_you_mean(header.ring, rings)))

    own_layer = _layer(f"site {header.name}", file, (), own, found)
    own = own_layer.data
    layers = (*fleet.stack(header.profile, header.ring), own_layer)
    if SITE in file.text:
        own = named(own, header.name, holding_site(own))
    merged = overlay(fleet.base_of(header.name, header.profile, header.ring), own)
    try:
        spec = SiteSpec.model_validate(merged, context=fleet.shared)
    except ValidationError as error:

        def place(path: Path, key: bool) -> tuple[SourceFile, Path]:
            while path and (layer := owner(layers, path)) is not None:
                return layer.file, (*layer.at, *path)
            layer = owner(layers, path[:-1]) if path[:-1] else None
            return (layer.file, (*layer.at, *path)) if layer else (file, path)

        found += [replace(d, sites=(header.name,)) for d in shape_diagnostics(SiteSpec, error, place)]
        return LoadedSite(None, ring, tuple(found))
    if (packages := fleet.packages(merged)) is not None:
        spec, layers = spec.model_copy(update={"packages": packages[0]}), (packages[1], *layers)
    return LoadedSite(Site(spec, layers) if usable else None, ring, tuple(found))


def site_layers(
    fleet: Fleet, file: SourceFile, name: str, profile: str | None, ring: str
) -> tuple[Layer, ...]:
    """The layers of a site that was resolved before, to find places in; nothing is checked again.

    Raises `YamlError` when the file, changed since, can't be read any more.
    """
    raw, _ = file.load()
    own = {key: value for key, value in raw.items() if key not in _KIND}
    site = overlay(fleet.base_of(name, profile, ring), named(own, name, holding_site(own)))
    packages = fleet.packages(site)
    first = (packages[1],) if packages is not None else ()
    return (*first, *fleet.stack(profile, ring), Layer(f"site {name}", file, (), own))
