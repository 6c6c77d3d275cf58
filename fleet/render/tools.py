"""The tools: each behind a proxy that reaches its own destinations and nothing else."""

from collections.abc import Iterator

from fleet.model.agents import Tool
from fleet.model.site import SiteSpec
from fleet.render.section import Section, site_image, taints_of
from fleet.render.templating import render_template


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The section `tools`, where the site has some."""
    files = {f"{name}.yaml": _tool(spec, name, tool) for name, tool in spec.tools.items()}
    if files:
        yield Section("tools", "workloads/tools", files, ("platform", "services"))


def _tool(spec: SiteSpec, name: str, tool: Tool) -> str:
    return render_template(
        "workloads/tools/tool.yaml.j2",
        name=name,
        tool=tool,
        taints=taints_of(spec, tool.node_pool),
        image=site_image(spec, tool.image),
        destinations=",".join(f"{d.cidr}:{d.port}" for d in tool.allowed_destinations),
    )
