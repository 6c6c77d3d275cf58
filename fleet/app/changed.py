"""What a change touches, and what it can affect: the part of a report that a pull request is about."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.app.check_files import Checked, SiteFile
from fleet.diagnostics.diagnostic import Diagnostic
from fleet.diagnostics.suppress import Report
from fleet.inventory.layers import overlay
from fleet.inventory.load import Fleet, load_fleet, site_layers
from fleet.inventory.source import SourceFile, YamlError


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A report about some of the sites."""

    report: Report
    files: frozenset[str]
    """The keys of the site files that it is about."""
    of: int
    """How many there are."""

    @property
    def sites(self) -> int:
        """How many it is about."""
        return len(self.files)


def narrowed(
    checked: Checked,
    files: Mapping[str, SiteFile],
    changed: Collection[str],
    before: SourceFile | None,
    *,
    policies_differ: bool = False,
) -> Narrowed:
    """What was found about the files that changed, and about all that their change can affect.

    `files` are all site files by key, `changed` the keys of those that differ, `before` is `fleet.yaml` as it
    was (None: there was none that could be read). Kept are findings in `fleet.yaml`, those about a site whose
    file differs or whose resolved value does, and those across sites that concern such a site.
    When `policies_differ`, every site is reached: a policy may say something else of any.
    """
    touched = {key for key in checked.files if policies_differ or key in changed}
    if checked.fleet is not None and (before is None or before.content != checked.fleet.file.content):
        touched |= _reached(checked, checked.fleet, before, files)
    keys_of: dict[str, set[str]] = {}
    for key, file in files.items():
        keys_of.setdefault(file.path, set()).add(key)

    def kept(diagnostic: Diagnostic) -> bool:
        about = checked.about.get(diagnostic.sort_key)
        if about is None:  # about a file: fleet.yaml, one that can't be read, a suppression
            own = keys_of.get(diagnostic.span.path)
            return own is None or not own.isdisjoint(touched) or own.isdisjoint(checked.files)
        return not touched.isdisjoint(about)

    report = Report(
        tuple(item for item in checked.report.found if kept(item)),
        tuple(item for item in checked.report.suppressed if kept(item.diagnostic)),
    )
    return Narrowed(report, frozenset(touched), len(checked.files))


def _reached(
    checked: Checked, now: Fleet, file: SourceFile | None, files: Mapping[str, SiteFile]
) -> set[str]:
    """The site files that a change of `fleet.yaml` reaches; all when it is about more than the layers."""
    before = load_fleet(file)[0] if file is not None else None
    if before is None or _text(_beside_layers(before.raw)) != _text(_beside_layers(now.raw)):
        return set(checked.files)
    differs: dict[tuple[str | None, str], bool] = {}
    reached = set()
    for key, result in checked.files.items():
        if result.name is None or result.ring is None:
            reached.add(key)  # it may be broken because of the change
            continue
        shared = (result.profile, result.ring)
        if shared not in differs:
            same = {layer.name for layer in before.stack(*shared)} == {
                layer.name for layer in now.stack(*shared)
            }
            differs[shared] = not same or _text(before.base(*shared)) != _text(now.base(*shared))
        if differs[shared] and _resolves_to_another(before, now, files[key], result.name, shared):
            reached.add(key)
    return reached


def _resolves_to_another(
    before: Fleet, now: Fleet, file: SiteFile, name: str, shared: tuple[str | None, str]
) -> bool:
    """Whether the site's own file leaves anything of what differs in the layers below it."""
    source = file.read()
    if not isinstance(source, SourceFile):
        return True
    try:
        own = site_layers(now, source, name, *shared)[-1].data
    except YamlError:
        return True
    return _text(overlay(before.base(*shared), own)) != _text(overlay(now.base(*shared), own))


def _beside_layers(raw: Mapping[str, Any]) -> dict[str, Any]:
    """`fleet.yaml` without what sites inherit: rings with their order, and the models."""
    rest = {key: value for key, value in raw.items() if key not in ("defaults", "profiles")}
    rest["rings"] = [{**ring, "defaults": None} for ring in raw["rings"]]
    return rest


def _text(value: Any) -> str:
    """Equal for equal values; for Python, 1 == True == 1.0."""
    return json.dumps(value, sort_keys=True)
