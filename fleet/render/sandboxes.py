"""Sandboxes for code that nobody has read: Kubernetes' agent-sandbox v1beta1 (gpu-facts 4.1, requirement F3).

They have a namespace of their own, with a quota and without any network that is not said (requirement F6).
Proxies of tools claim them, and say how long a claim lasts (docs/tool-proxy-contract.md).
"""

from collections.abc import Iterator, Mapping

from fleet.model.agents import Sandbox
from fleet.model.site import SiteSpec
from fleet.render.controllers import image, placement
from fleet.render.releases import release
from fleet.render.section import BEFORE_PODS, Section, cpu_quantity, memory_quantity, site_image, taints_of
from fleet.render.templating import render_template
from fleet.render.tools import SANDBOX_PORT

CONTROLLER_NAMESPACE = "agent-sandbox-system"
NAMESPACE = "sandboxes"


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The sections `sandbox-controller` and `sandboxes`, where the site has some.

    Raises `FleetError` (TPL003) when the inventory has no digest of the controller's chart.
    """
    if not spec.sandboxes:
        return
    controller = {
        "agent-sandbox.yaml": _controller(spec),
        "namespace.yaml": _namespace(spec, CONTROLLER_NAMESPACE),
    }
    yield Section("sandbox-controller", "platform/sandbox-controller", controller, ("platform",), "10m")
    files = {f"{name}.yaml": _sandbox(spec, name, each) for name, each in spec.sandboxes.items()}
    # No sandbox can have these names.
    files["_namespace.yaml"] = _namespace(spec, NAMESPACE)
    files["_limits.yaml"] = render_template(
        "workloads/sandboxes/limits.yaml.j2", namespace=NAMESPACE, quota=quota(spec)
    )
    files["_priority.yaml"] = render_template(
        "workloads/priority_class.yaml.j2",
        name="fleet-sandboxes",
        value=-5,
        description="Sandboxes, which make room for all else.",
    )
    after = (*BEFORE_PODS, "sandbox-controller")
    yield Section("sandboxes", "workloads/sandboxes", files, after, "10m")


def quota(spec: SiteSpec) -> Mapping[str, str]:
    """What all sandboxes of the site take when every slot is used (requirements F6, F8)."""
    all_of = [(each.slots, each.resources) for each in spec.sandboxes.values()]
    slots = str(sum(number for number, _ in all_of))
    return {
        "pods": slots,
        "count/sandboxclaims.extensions.agents.x-k8s.io": slots,
        "requests.cpu": cpu_quantity(sum(n * r.cpu_millis for n, r in all_of)),
        "requests.memory": memory_quantity(sum(n * r.memory_mib for n, r in all_of)),
        "limits.cpu": cpu_quantity(sum(n * r.cpu_limit_millis for n, r in all_of)),
        "limits.memory": memory_quantity(sum(n * r.memory_limit_mib for n, r in all_of)),
    }


def _namespace(spec: SiteSpec, name: str) -> str:
    return render_template(
        "platform/namespaces.yaml.j2", site=spec, namespaces=[{"name": name, "pod_security": "restricted"}]
    )


def _controller(spec: SiteSpec) -> str:
    """kubernetes-sigs/agent-sandbox v0.5.6, helm/values.yaml. Its pods may be `restricted`: the image is
    distroless and runs as a user without privileges."""
    values = {
        "namespace": {"create": False, "name": CONTROLLER_NAMESPACE},
        "image": image(spec, "agent-sandbox", "registry.k8s.io/agent-sandbox/agent-sandbox-controller"),
        "controller": {"extensions": True},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "podSecurityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containerSecurityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **placement(spec),
    }
    return release(spec, "agent-sandbox", CONTROLLER_NAMESPACE, values)


def _sandbox(spec: SiteSpec, name: str, sandbox: Sandbox) -> str:
    return render_template(
        "workloads/sandboxes/sandbox.yaml.j2",
        name=name,
        namespace=NAMESPACE,
        sandbox=sandbox,
        # A plain container has no runtime class; untrusted code in one is refused (TOL016).
        runtime=None if sandbox.isolation == "container" else sandbox.isolation,
        port=SANDBOX_PORT,
        taints=taints_of(spec, sandbox.node_pool),
        image=site_image(spec, sandbox.image),
        cpu=cpu_quantity,
        memory=memory_quantity,
        tools=[tool for tool, each in spec.tools.items() if each.sandbox == name],
    )
