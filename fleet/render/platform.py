"""What every cluster has before the first workload: namespaces, and who may talk to whom."""

from collections.abc import Iterator

from fleet.model.site import SiteSpec
from fleet.render.section import GUARDED, NAMESPACES, Section
from fleet.render.templating import render_template


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The section `platform`, which all others come after."""
    namespaces = [{"name": name, "pod_security": level} for name, level in NAMESPACES]
    files = {
        "namespaces.yaml": render_template("platform/namespaces.yaml.j2", site=spec, namespaces=namespaces),
        "network-policies.yaml": render_template(
            "platform/network-policies.yaml.j2", site=spec, guarded=GUARDED
        ),
    }
    yield Section("platform", "platform", files)
