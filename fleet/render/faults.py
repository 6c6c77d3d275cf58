"""Where in the inventory a failed rendering comes from."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from fleet.diagnostics.diagnostic import FleetError
from fleet.inventory.inventory import Site
from fleet.inventory.source import Path
from fleet.model.site import SiteSpec
from fleet.render.limits import RefusedError
from fleet.render.templating import TemplateFailedError
from fleet.render.tree import RenderedTree, render_site


def rendered(site: Site) -> RenderedTree:
    """`render_site` of a site whose files are known.

    Raises `FleetError` (TPL codes) that names the site and the inventory's line: of what the template was
    rendering, or of the value that stands in what a cluster would refuse; of the site's file where neither
    can be told.
    """
    try:
        return render_site(site.spec)
    except TemplateFailedError as error:
        path = _given(site.spec, error.given)
        raise _told(error, site, path, "while rendering") from error
    except RefusedError as error:
        raise _told(error, site, _holding(site.spec, error), "it comes from") from error
    except FleetError as error:
        if not error.code.startswith("TPL"):
            raise
        raise _told(error, site, (), "the site is") from error


def _told(error: FleetError, site: Site, path: Path, words: str) -> FleetError:
    span = site.span(path)
    field = ".".join(map(str, path)) or site.name
    message = error.message if site.name in error.message else f"{site.name}: {error.message}"
    place = f"{span.path}:{span.line}, {words} {field}"
    return FleetError(error.code, f"{message} ({place})", error.help, error.exit_code)


def _given(spec: SiteSpec, given: Mapping[str, Any]) -> Path:
    """The path of the part of the spec that the template was given, the deepest one; () for the site."""
    wanted = {id(value) for value in given.values() if isinstance(value, BaseModel)}
    found = [path for path, value in parts(spec) if id(value) in wanted]
    named = [path for path in found if given.get("name") in path]  # equal parts may be one object
    return max(named or found, key=len, default=())


def _holding(spec: SiteSpec, error: RefusedError) -> Path:
    """The path of the longest text of the spec that stands in what was refused."""
    best: tuple[int, Path] = (0, ())
    for path, value in parts(spec):
        texts = [value] if isinstance(value, str) else []
        if isinstance(value, BaseModel) and path and isinstance(path[-1], str):
            texts.append(path[-1])  # a name: the key of what it names
        for text in texts:
            for refused in error.values:
                if text in refused or (len(refused) == 1 and refused in text):
                    best = max(best, (len(text), path))
    return best[1]


def parts(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Everything in a model, by the inventory's keys: models, mappings, sequences and single values."""
    yield path, value
    if isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            yield from parts(getattr(value, name), (*path, info.alias or name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from parts(item, (*path, str(key)))
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from parts(item, (*path, number))
