"""Rules about GPUs that several workloads share, and about the operator that shares them."""

from collections.abc import Iterator
from math import floor

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean

from .shares import cut, deployments_on_gpus, shares_a_card

_BY_PLUGIN = {
    "mig": ("the MIG strategy is", "MIG manager and device plugin"),
    "time-slicing": ("time slices are", "device plugin"),
}
"""Sharing that a device plugin is told of: what it is told, and the parts of the operator that do it."""


def _slices_are_said(site: Site, _: Inventory) -> Iterator[Finding]:
    gpu = site.spec.gpu
    if gpu is None:
        return
    if gpu.sharing == "time-slicing" and gpu.time_slices is None:
        yield Finding(
            ("gpu", "sharing"),
            "into how many time slices a GPU is divided is not said",
            "add 'timeSlices: 2'",
        )
    elif gpu.sharing != "time-slicing" and gpu.time_slices is not None:
        yield Finding(
            ("gpu", "timeSlices"),
            f"a GPU with 'sharing: {gpu.sharing}' has no time slices",
            "'sharing: time-slicing', or leave 'timeSlices' out",
        )


def _slices_and_queues(site: Site, _: Inventory) -> Iterator[Finding]:
    gpu = site.spec.gpu
    if gpu is not None and gpu.kai is not None and gpu.sharing == "time-slicing":
        yield Finding(
            ("gpu", "sharing"),
            "KAI counts every time slice as a whole GPU, so that its quotas mean something else",
            "'sharing: fraction' with 'kai: {gpuSharing: true}', or no 'kai'",
        )


def _one_share(site: Site, _: Inventory) -> Iterator[Finding]:
    gpu = site.spec.gpu
    if gpu is None or gpu.sharing == "none":
        return
    for name, deployment, pool in deployments_on_gpus(site.spec):
        if deployment.gpus == 1:
            continue
        if cut(site.spec, pool) is not None:
            share = "MIG instance"
        elif gpu.sharing == "time-slicing":
            share = "time slice"
        elif deployment.gpu_fraction is not None:
            share = "fraction of a GPU"
        else:
            continue
        yield Finding(
            ("inference", name, "gpus"),
            f"{name} takes {deployment.gpus} GPUs a replica; a model can't be spread over "
            f"more than one {share}",
            "'gpus: 1'",
        )


def _fraction_is_shared(site: Site, _: Inventory) -> Iterator[Finding]:
    sharing = site.spec.gpu.sharing if site.spec.gpu else "none"
    for name, deployment in site.spec.inference.items():
        if deployment.gpu_fraction is None:
            continue
        path = ("inference", name, "gpuFraction")
        if deployment.accelerator != "gpu":
            yield Finding(path, f"{name} runs on {deployment.accelerator} and takes no GPU", "leave it out")
        elif sharing != "fraction":
            yield Finding(
                path,
                f"{name} takes {deployment.gpu_fraction:g} of a GPU at a site with 'sharing: {sharing}'",
                "'gpu: {sharing: fraction}', or leave 'gpuFraction' out",
            )


def _fractions_need_kai(site: Site, _: Inventory) -> Iterator[Finding]:
    gpu = site.spec.gpu
    if gpu is None or gpu.sharing != "fraction":
        return
    if gpu.kai is None:
        yield Finding(
            ("gpu", "sharing"),
            "fractions of a GPU are KAI's, and the site has no KAI",
            "add 'kai: {gpuSharing: true, queues: {…}}'",
        )
    elif not gpu.kai.gpu_sharing:
        yield Finding(
            ("gpu", "kai", "gpuSharing"),
            "KAI refuses every fraction of a GPU as long as 'gpuSharing' is off",
            "'gpuSharing: true'",
        )


def _no_more_than_its_share(site: Site, _: Inventory) -> Iterator[Finding]:
    """Neither fractions nor time slices divide the memory: vLLM takes its share of the whole card at once."""
    gpu = site.spec.gpu
    if gpu is None or gpu.sharing not in ("time-slicing", "fraction"):
        return
    for name, deployment, pool in deployments_on_gpus(site.spec):
        share = deployment.gpu_fraction or 1 / shares_a_card(site.spec, pool)
        if deployment.runtime == "vllm" and share < 1 and deployment.gpu_memory_utilization > share:
            most = floor(share * 100 + 1e-9) / 100  # 0.29 * 100 is a little less than 29
            yield Finding(
                ("inference", name, "gpuMemoryUtilization"),
                f"{name} takes {deployment.gpu_memory_utilization:.0%} of a GPU's memory; "
                f"its share is {share:.0%}",
                f"at most 'gpuMemoryUtilization: {most:g}'" if most else "a larger 'gpuFraction'",
            )


def _azure_brings_its_own(site: Site, _: Inventory) -> Iterator[Finding]:
    operator = site.spec.gpu.operator if site.spec.gpu else None
    if operator is None:
        return
    if operator.driver:
        yield Finding(
            ("gpu", "operator", "driver"),
            "the GPU operator's driver does not load on AKS Arc, whose nodes take signed modules only",
            "'driver: false'",
        )
    # Time slices and the MIG strategy are the plugin's own configuration: Azure's can't be given one.
    if operator.device_plugin and site.spec.gpu and site.spec.gpu.sharing not in _BY_PLUGIN:
        yield Finding(
            ("gpu", "operator", "devicePlugin"),
            "AKS Arc runs a device plugin already, and two offer the same GPUs",
            "'devicePlugin: false'",
        )


def _slices_need_the_operator(site: Site, _: Inventory) -> Iterator[Finding]:
    gpu = site.spec.gpu
    if gpu is None or gpu.sharing not in _BY_PLUGIN:
        return
    what, part = _BY_PLUGIN[gpu.sharing]
    if gpu.operator is None:
        yield Finding(
            ("gpu", "sharing"),
            f"'sharing: {gpu.sharing}' is done by the GPU operator's {part}, and the site has no operator",
            "add 'operator: {version: v26.7.0, devicePlugin: true}'",
        )
    elif not gpu.operator.device_plugin:
        yield Finding(
            ("gpu", "operator", "devicePlugin"),
            f"{what} configured in the GPU operator's device plugin, which is off",
            "'devicePlugin: true', or another 'sharing'",
        )


def _known_operator(site: Site, _: Inventory) -> Iterator[Finding]:
    operator = site.spec.gpu.operator if site.spec.gpu else None
    known = catalog.scheduling().operator_versions
    if operator is not None and operator.version not in known:
        yield Finding(
            ("gpu", "operator", "version"),
            f"{operator.version} is no version of the GPU operator that is known here",
            did_you_mean(operator.version, known) or f"one of {', '.join(known)}",
        )


def _one_trust_domain_a_card(site: Site, _: Inventory) -> Iterator[Finding]:
    gpu = site.spec.gpu
    if gpu is None or gpu.sharing not in ("time-slicing", "fraction"):
        return
    first: dict[str, tuple[str, str]] = {}
    for name, deployment, _pool in deployments_on_gpus(site.spec):
        if gpu.sharing == "fraction" and deployment.gpu_fraction is None:
            continue
        other, domain = first.setdefault(deployment.node_pool, (name, deployment.trust_domain))
        if domain != deployment.trust_domain:
            yield Finding(
                ("inference", name, "trustDomain"),
                f"{name} of the trust domain {deployment.trust_domain!r} may share a GPU with "
                f"{other} of {domain!r}",
                "a node pool of its own, or MIG instances",
            )


RULES = (
    Rule(
        code="GPU011",
        summary="time slices are counted where GPUs are time-sliced, and only there",
        source="gpu-facts 2.3",
        check_site=_slices_are_said,
    ),
    Rule(
        code="GPU012",
        summary="KAI's quotas and time slices are not mixed",
        source="gpu-facts 1.11 (an inference from KAI's code)",
        severity="warning",
        check_site=_slices_and_queues,
    ),
    Rule(
        code="GPU013",
        summary="a replica takes one share of a shared GPU",
        source="gpu-facts 1.7 (no fraction with whole GPUs), 2.3 (failRequestsGreaterThanOne), 6.1",
        check_site=_one_share,
    ),
    Rule(
        code="GPU014",
        summary="a fraction of a GPU is taken where GPUs are shared by fractions",
        source="gpu-facts 1.7, 1.11",
        check_site=_fraction_is_shared,
    ),
    Rule(
        code="GPU015",
        summary="KAI allows fractions where GPUs are shared by fractions",
        source="gpu-facts 1.7, 1.11 (global.gpuSharing is off by default)",
        check_site=_fractions_need_kai,
    ),
    Rule(
        code="GPU016",
        summary="vLLM takes no more of a shared GPU's memory than its share",
        source="gpu-facts 1.11 (no memory isolation), 6.1 (vLLM's share is of the whole GPU)",
        check_site=_no_more_than_its_share,
    ),
    Rule(
        code="GPU017",
        summary="the GPU operator leaves the driver and the device plugin to AKS Arc",
        source="facts 1.9 (an inference: no Microsoft document says it), gpu-facts 2.5",
        severity="warning",
        check_site=_azure_brings_its_own,
    ),
    Rule(
        code="GPU018",
        summary="GPUs that are sliced have the part of the GPU operator that slices them",
        source="gpu-facts 2.3, requirement H1",
        check_site=_slices_need_the_operator,
    ),
    Rule(
        code="GPU019",
        summary="the GPU operator's version is a known one",
        source="gpu-facts 2.1",
        severity="warning",
        check_site=_known_operator,
    ),
    Rule(
        code="GPU020",
        summary="workloads of different trust domains share no GPU",
        source="requirement B26, gpu-facts 1.11, 2.3",
        check_site=_one_trust_domain_a_card,
    ),
)
