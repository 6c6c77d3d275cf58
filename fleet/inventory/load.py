"""`load_inventory`: files in, an `Inventory` and every finding out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fleet.catalog import built_in_models
from fleet.diagnostics.diagnostic import Diagnostic
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.layers import Layer, overlay, owner
from fleet.inventory.shape import did_you_mean, shape_diagnostics
from fleet.inventory.source import Path, SourceFile, YamlError
from fleet.model.fleet import FleetFile, SiteHeader
from fleet.model.site import SiteSpec

_HEADER = frozenset({"apiVersion", "kind"})


def load_inventory(
    fleet_file: SourceFile, site_files: Sequence[SourceFile]
) -> tuple[Inventory | None, list[Diagnostic]]:
    """The fleet that the files describe, with everything found wrong in their shape.

    None when `fleet.yaml` itself can't be used. A site that can't be resolved is left out of the
    inventory and has at least one error among the diagnostics.
    """
    found: list[Diagnostic] = []
    raw = _read(fleet_file, found)
    fleet = _validate(FleetFile, raw, fleet_file, found) if raw is not None else None
    if fleet is None or raw is None:
        return None, found

    names = [ring.name for ring in fleet.rings]
    for number, name in enumerate(names):
        if name in names[:number]:
            found.append(
                _at(fleet_file, ("rings", number, "name"), "INV013", f"the ring {name!r} is listed twice")
            )

    shared = _shared_layers(fleet_file, fleet, raw, found)
    sites: dict[str, Site] = {}
    first_file: dict[str, SourceFile] = {}
    used_rings: set[str] = set()
    for file in sorted(site_files, key=lambda f: f.path):
        site = _load_site(file, fleet, shared, found, used_rings)
        if site is None:
            continue
        if earlier := first_file.get(site.name):
            message = f"the site {site.name!r} is already in {earlier.path}"
            found.append(_at(file, ("name",), "INV014", message, "rename one of them"))
            continue
        sites[site.name], first_file[site.name] = site, file

    models = {**built_in_models(), **fleet.models}
    ordered = tuple(sites[name] for name in sorted(sites))
    used = frozenset(used_rings)
    return Inventory(fleet.name, fleet_file, fleet.rings, ordered, models, len(site_files), used, raw), found


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


def _validate(model: type[M], data: Mapping[str, Any], file: SourceFile, found: list[Diagnostic]) -> M | None:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found += shape_diagnostics(model, error, lambda path, key: (file, path))
        return None


def _shared_layers(
    file: SourceFile, fleet: FleetFile, raw: Mapping[str, Any], found: list[Diagnostic]
) -> dict[str, Layer]:
    """The layers that sites share, each checked for itself so that an unused one is checked too."""
    layers = {"defaults": Layer("defaults", file, ("defaults",), raw.get("defaults") or {})}
    for name in fleet.profiles:
        layers[f"profile {name}"] = Layer(
            f"profile {name}", file, ("profiles", name), raw["profiles"][name] or {}
        )
    for number, ring in enumerate(fleet.rings):
        data = raw["rings"][number].get("defaults") or {}
        layers[f"ring {ring.name}"] = Layer(f"ring {ring.name}", file, ("rings", number, "defaults"), data)
    for layer in layers.values():
        _check_layer(layer, found)
    return layers


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
    try:
        SiteSpec.model_validate(overlay({}, layer.data))
    except ValidationError as error:
        found += shape_diagnostics(
            SiteSpec, error, lambda path, key: (layer.file, (*layer.at, *path)), ignore_missing=True
        )


def _load_site(
    file: SourceFile,
    fleet: FleetFile,
    shared: Mapping[str, Layer],
    found: list[Diagnostic],
    used_rings: set[str],
) -> Site | None:
    raw = _read(file, found)
    if raw is None:
        return None
    used_rings.add(str(raw.get("ring")))
    header_keys = {info.alias or name for name, info in SiteHeader.model_fields.items()}
    header = _validate(SiteHeader, {key: raw[key] for key in header_keys & raw.keys()}, file, found)
    own = {key: value for key, value in raw.items() if key not in _HEADER}
    if header is None:
        _check_layer(Layer("site ?", file, (), own), found)
        return None

    stack = [shared["defaults"]]
    usable = True
    if header.profile is not None:
        if f"profile {header.profile}" in shared:
            stack.append(shared[f"profile {header.profile}"])
        else:
            usable = False
            message = f"there is no profile {header.profile!r}"
            found.append(
                _at(file, ("profile",), "INV015", message, did_you_mean(header.profile, fleet.profiles))
            )
    if f"ring {header.ring}" in shared:
        stack.append(shared[f"ring {header.ring}"])
    else:
        usable = False
        message = f"there is no ring {header.ring!r}"
        known = [ring.name for ring in fleet.rings]
        found.append(_at(file, ("ring",), "INV016", message, did_you_mean(header.ring, known)))
    stack.append(Layer(f"site {header.name}", file, (), own))

    merged: dict[str, Any] = {}
    for layer in stack:
        merged = overlay(merged, layer.data)
    try:
        spec = SiteSpec.model_validate(merged)
    except ValidationError as error:
        layers = tuple(stack)

        def place(path: Path, key: bool) -> tuple[SourceFile, Path]:
            while path and (layer := owner(layers, path)) is not None:
                return layer.file, (*layer.at, *path)
            layer = owner(layers, path[:-1]) if path[:-1] else None
            return (layer.file, (*layer.at, *path)) if layer else (file, path)

        found += [replace(d, sites=(header.name,)) for d in shape_diagnostics(SiteSpec, error, place)]
        return None
    return Site(spec, tuple(stack)) if usable else None
