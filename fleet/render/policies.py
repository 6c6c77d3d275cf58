"""What a cluster refuses or reports by itself: this project's rules for pods, in the terms of two engines.

The rules are CEL expressions, which Kyverno and Gatekeeper both evaluate: each is written once.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fleet import catalog
from fleet.model.site import SiteSpec
from fleet.render import foundry
from fleet.render.components import used
from fleet.render.controllers import Controller, image, replicas_of, split_image
from fleet.render.section import Section
from fleet.render.templating import render_template

OURS = ("agents", "tools", "sandboxes")
"""Namespaces in which only images that the inventory names run."""
OTHERS = ("platform", "observability")
"""Namespaces in which charts' images run as well."""
MICROSOFT = "mcr.microsoft.com"
SOLVER = "acme.cert-manager.io/http01-solver"


class Refusal(NamedTuple):
    """A rule: what holds of every object, in CEL over `object` and `variables`, else it is refused."""

    name: str
    kind: str
    """Of Gatekeeper's constraint."""
    namespaces: tuple[str, ...]
    expression: str
    message: str
    resources: tuple[str, ...] = ("pods",)
    """Plural names; of pods in the core group, else in `apps`."""


CONTAINERS = "object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : [])"
"""The variable `containers`, without a debugger's ephemeral ones: RBAC says who may add those."""
LABELS = ("app", "fleet/role")


def controllers(spec: SiteSpec) -> Iterator[Controller]:
    """The engine of the site's policies, and Falco. Azure Policy comes as an Arc extension instead."""
    match spec.platform.policies.admission:
        case "kyverno":
            yield Controller("kyverno", "kyverno", _kyverno(spec))
        case "gatekeeper":
            yield Controller("gatekeeper", "gatekeeper-system", _gatekeeper(spec))
        case _:
            pass
    if spec.platform.policies.runtime_detection == "falco":
        # Its probe is in the kernel: no other namespace of a site is privileged for its sake.
        yield Controller("falco", "falco", _falco(spec), pod_security="privileged")


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The sections `policies` and, as Gatekeeper makes their kinds from the first, `constraints`."""
    kind = spec.platform.policies.admission
    if kind not in ("kyverno", "gatekeeper"):
        return
    rules = refusals(spec)
    variables = {"containers": CONTAINERS}
    if kind == "kyverno":
        text = render_template("platform/policies/kyverno.yaml.j2", rules=rules, variables=variables)
        yield Section("policies", "platform/policies", {"policies.yaml": text}, ("platform", "controllers"))
        return
    text = render_template("platform/policies/templates.yaml.j2", rules=rules, variables=variables)
    yield Section("policies", "platform/policies", {"templates.yaml": text}, ("platform", "controllers"))
    text = render_template("platform/policies/constraints.yaml.j2", rules=rules)
    yield Section("constraints", "platform/constraints", {"constraints.yaml": text}, ("policies",))


def refusals(spec: SiteSpec) -> tuple[Refusal, ...]:
    """The rules of this site: the same everywhere but for where its images may come from."""
    pinned = "variables.containers.all(c, c.image.contains('@sha256:'))"
    hosts = ", ".join(f"'{host}/'" for host in registries(spec))
    known = f"variables.containers.all(c, [{hosts}].exists(host, c.image.startsWith(host)))"
    if spec.platform.certificates.issuer == "acme":
        # cert-manager's own pod, which answers the ACME server: by a tag, and on connected sites from where
        # Azure's extension has it.
        solver = f"(has(object.metadata.labels) && '{SOLVER}' in object.metadata.labels)"
        pinned, known = f"{solver} || {pinned}", f"{solver} || {known}"
    label_checks = " && ".join(f"'{label}' in object.metadata.labels" for label in LABELS)
    return (
        Refusal(
            "image-digests",
            "FleetImageDigests",
            OURS,
            pinned,
            "an image is named by its digest (name:tag@sha256:...): a tag can become another image",
        ),
        Refusal(
            "image-tags",
            "FleetImageTags",
            OTHERS,
            "variables.containers.all(c, c.image.contains('@sha256:') || "
            "(c.image.matches(':[^/]+$') && !c.image.endsWith(':latest')))",
            "an image has a digest or a version: 'latest' is another one every day",
        ),
        Refusal(
            "image-registries",
            "FleetImageRegistries",
            (*OURS, *OTHERS),
            known,
            f"images come from {', '.join(registries(spec))}",
        ),
        Refusal(
            "no-privileges",
            "FleetNoPrivileges",
            (*OURS, *OTHERS),
            "!(has(object.spec.hostNetwork) && object.spec.hostNetwork) && "
            "!(has(object.spec.hostPID) && object.spec.hostPID) && "
            "!(has(object.spec.hostIPC) && object.spec.hostIPC) && "
            "variables.containers.all(c, !(has(c.securityContext) && "
            "has(c.securityContext.privileged) && c.securityContext.privileged))",
            "a pod is not privileged and shares nothing of its node",
        ),
        Refusal(
            "workload-labels",
            "FleetWorkloadLabels",
            OURS,
            f"has(object.metadata.labels) && {label_checks}",
            f"a workload has the labels {' and '.join(LABELS)}: network policies and reports go by them",
            resources=("deployments", "statefulsets"),
        ),
    )


def registries(spec: SiteSpec) -> tuple[str, ...]:
    """Hosts that the site's images come from: its own registry, else those that they are named after. And
    Microsoft's, where Foundry Local's operator makes pods in `platform` (its images' host: an inference from
    its charts', facts 3.1)."""
    foreign = (
        {MICROSOFT} if any(each.runtime == foundry.RUNTIME for each in spec.inference.values()) else set()
    )
    if spec.registry is not None:
        return tuple(sorted({spec.registry.host, *foreign}))
    images = [
        item.image
        for group in (spec.inference, spec.agents, spec.tools, spec.sandboxes)
        for item in group.values()
    ]
    for use in used(spec):
        images += catalog.components()[use.component].images
    return tuple(
        sorted({spec.delivery.registry, *foreign, *(name.partition("/")[0] for name in images if name)})
    )


def _kyverno(spec: SiteSpec) -> Mapping[str, Any]:
    """github.com/kyverno/kyverno v1.19.1, charts/kyverno/values.yaml: what validates and what reports."""

    def from_(name: str) -> dict[str, str]:
        return split_image(spec, "kyverno", f"reg.kyverno.io/kyverno/{name}")

    off = {"enabled": False}
    return {
        "admissionController": {
            "replicas": replicas_of(spec),
            "container": {"image": from_("kyverno")},
            "initContainer": {"image": from_("kyvernopre")},
        },
        "reportsController": {"image": from_("reports-controller")},
        # Nothing here is generated, mutated later or cleaned up, and Flux brings the CRDs.
        "backgroundController": off,
        "cleanupController": off,
        # Taken away, it takes its webhooks along: nobody would answer them, and they fail closed.
        "webhooksCleanup": {
            "enabled": True,
            "image": split_image(spec, "kyverno", "ghcr.io/kyverno/readiness-checker"),
        },
        "crds": {"migration": off},
    }


def _gatekeeper(spec: SiteSpec) -> Mapping[str, Any]:
    """github.com/open-policy-agent/gatekeeper v3.23.1, charts/gatekeeper/values.yaml: without its jobs, which
    label the namespace (it is labelled) and bring CRDs (Flux does).

    Its webhook is asked about everything in the cluster, so it stays as the chart has it: while no pod of it
    is there, nothing is refused, and the audit finds later what came in.
    """
    own = image(spec, "gatekeeper", "docker.io/openpolicyagent/gatekeeper")
    off = {"enabled": False}
    return {
        "replicas": replicas_of(spec),
        "image": {"repository": own["repository"], "release": own["tag"]},
        # A node can always be drained.
        "pdb": {"controllerManager": {"minAvailable": replicas_of(spec) - 1}},
        "postInstall": {"labelNamespace": off, "probeWebhook": off},
        "postUpgrade": {"labelNamespace": off},
        "upgradeCRDs": off,
    }


def _falco(spec: SiteSpec) -> Mapping[str, Any]:
    """github.com/falcosecurity/charts, charts/falco 9.1.0, values.yaml. Rules and the container plugin are
    those in the image (from memory, to be checked): nothing is fetched at a site."""
    off = {"enabled": False}
    return {
        "image": split_image(spec, "falco", "docker.io/falcosecurity/falco"),
        "driver": {"kind": "modern_ebpf"},
        "falcoctl": {"artifact": {"install": off, "follow": off}},
        "falcosidekick": off,
        "falco": {"json_output": True},
        # On every node, also where a pool's taint keeps others off.
        "tolerations": [{"operator": "Exists"}],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
    }
