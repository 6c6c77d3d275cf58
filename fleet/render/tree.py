"""`render_site`: every file of a site's GitOps tree, as text by path."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.render import agents, gpu, inference, platform, sandboxes, services, telemetry, tools
from fleet.render.limits import check_files
from fleet.render.section import Section
from fleet.render.templating import render_template

TOPICS = (platform, services, telemetry, gpu, inference, sandboxes, tools, agents)
"""The modules that have something to say about a site's cluster, in the order of their reading."""


@dataclass(frozen=True)
class RenderedTree:
    """A site's files: POSIX path to text, in the order of the paths."""

    site: str
    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """`sha256:…` over paths and texts."""
        digest = hashlib.sha256()
        for path, text in self.files.items():
            digest.update(f"{path}\0{len(text.encode())}\0{text}".encode())
        return "sha256:" + digest.hexdigest()


def render_site(spec: SiteSpec) -> RenderedTree:
    """The site's tree. The same spec gives the same bytes on every machine.

    Raises `FleetError`: TPL001 when a template asks for something that is not there, TPL002 when two things
    would be the same file, TPL004 to TPL006 for what a cluster would refuse (fleet/render/limits.py).
    """
    files: dict[str, str] = {}
    for path, text in _files(spec):
        if path in files:
            name = path.rpartition("/")[2].removesuffix(".yaml")
            raise FleetError("TPL002", f"{spec.name}: two things would be {path}", f"rename {name!r}")
        files[path] = text
    check_files(spec.name, files)
    return RenderedTree(spec.name, {path: files[path] for path in sorted(files)})


def _files(spec: SiteSpec) -> Iterator[tuple[str, str]]:
    sections = [section for topic in TOPICS for section in topic.sections(spec)]
    cluster = f"clusters/{spec.name}"
    yield f"{cluster}/kustomization.yaml", _kustomization(["parts.yaml", "site.yaml"])
    yield f"{cluster}/site.yaml", render_template("clusters/site/site.yaml.j2", site=spec)
    yield f"{cluster}/parts.yaml", _parts(spec, sections)
    for section in sections:
        yield f"{section.path}/kustomization.yaml", _kustomization(sorted(section.files))
        for name, text in section.files.items():
            yield f"{section.path}/{name}", text


def _kustomization(names: Sequence[str]) -> str:
    return render_template("kustomization.yaml.j2", names=names)


def _parts(spec: SiteSpec, sections: Sequence[Section]) -> str:
    present = {section.name for section in sections}
    after = {section.name: [name for name in section.after if name in present] for section in sections}
    return render_template("clusters/site/parts.yaml.j2", site=spec, sections=sections, after=after)
