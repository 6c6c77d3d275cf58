"""Rules about what inference runtimes can serve, and on what."""

from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule


def _modality(site: Site, _: Inventory) -> Iterator[Finding]:
    runtimes = catalog.serving().runtimes
    for name, deployment in site.spec.inference.items():
        served = runtimes[deployment.runtime].modalities
        if deployment.modality not in served:
            yield Finding(
                ("inference", name, "modality"),
                f"{deployment.runtime} does not serve {deployment.modality}",
                ("" if deployment.accelerator == "gpu" else "'accelerator: gpu' with ")  # INF002
                + f"'runtime: vllm', or one of {', '.join(served)}",
            )


def _provider(site: Site, _: Inventory) -> Iterator[Finding]:
    facts, pools = catalog.serving(), site.spec.kubernetes.node_pools
    for name, deployment in site.spec.inference.items():
        provider = deployment.execution_provider
        if provider is None:
            continue
        pool = pools.get(deployment.node_pool)
        os = pool.os if pool else "linux"
        path = ("inference", name, "executionProvider")
        if not facts.runtimes[deployment.runtime].onnx:
            yield Finding(
                path, f"{deployment.runtime} has no execution provider: it is ONNX Runtime's", "leave it out"
            )
        elif deployment.accelerator == "npu":
            continue  # there is none, says INF010
        elif deployment.accelerator not in facts.providers[provider].accelerators:
            fitting = [
                key
                for key, p in facts.providers.items()
                if deployment.accelerator in p.accelerators and os in p.os
            ]
            yield Finding(
                path,
                f"the execution provider {provider} does not run on {deployment.accelerator}",
                f"one of {', '.join(fitting)}",
            )


def _provider_and_os(site: Site, _: Inventory) -> Iterator[Finding]:
    spec, providers = site.spec, catalog.serving().providers
    for name, deployment in spec.inference.items():
        pool = spec.kubernetes.node_pools.get(deployment.node_pool)
        provider = deployment.execution_provider
        if pool is not None and provider is not None and pool.os not in providers[provider].os:
            yield Finding(
                ("inference", name, "executionProvider"),
                f"the execution provider {provider} is for {', '.join(providers[provider].os)}; "
                f"the node pool {deployment.node_pool!r} runs {pool.os}",
                "another provider, or another node pool",
            )


def _no_npu(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, deployment in site.spec.inference.items():
        if deployment.accelerator == "npu":
            yield Finding(
                ("inference", name, "accelerator"),
                "AKS on Azure Local has no VM size with an NPU",
                "'accelerator: cpu' or 'accelerator: gpu'",
            )


def _kubernetes(site: Site, _: Inventory) -> Iterator[Finding]:
    version = site.spec.kubernetes.version
    for name, deployment in site.spec.inference.items():
        least = catalog.serving().runtimes[deployment.runtime].least_kubernetes
        if least and tuple(map(int, version.split(".")[:2])) < least:
            yield Finding(
                ("inference", name, "runtime"),
                f"{deployment.runtime} needs Kubernetes {'.'.join(map(str, least))}; "
                f"the cluster has {version}",
                "raise 'kubernetes.version'",
            )


def _runtime_version(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, deployment in site.spec.inference.items():
        if deployment.runtime_version is None:
            continue
        facts = catalog.serving().runtimes[deployment.runtime]
        version = tuple(map(int, deployment.runtime_version.split(".")))
        path = ("inference", name, "runtimeVersion")
        if version[:2] in facts.hang_on_streams:
            yield Finding(
                path,
                f"{deployment.runtime} {deployment.runtime_version} hangs on streamed answers",
                "a later version",
            )
        elif (
            deployment.package is not None and facts.least_for_packages and version < facts.least_for_packages
        ):
            least = ".".join(map(str, facts.least_for_packages))
            yield Finding(
                path,
                f"{deployment.runtime} {deployment.runtime_version} serves no model packages of one's own",
                f"'runtimeVersion: {least}' or later",
            )


RULES = (
    Rule(
        code="INF007",
        summary="the runtime serves this kind of model",
        source="requirement G10, facts 3.3 (chat completions and transcriptions)",
        check_site=_modality,
    ),
    Rule(
        code="INF008",
        summary="the execution provider runs on the accelerator",
        source="requirement G15",
        check_site=_provider,
    ),
    Rule(
        code="INF009",
        summary="the execution provider runs on the node pool's operating system",
        source="requirement G15 (DirectML is Windows')",
        check_site=_provider_and_os,
    ),
    Rule(
        code="INF010",
        summary="inference runs on accelerators that a VM can have",
        source="facts 1.9 (the list of VM sizes)",
        check_site=_no_npu,
    ),
    Rule(
        code="INF011",
        summary="the cluster's Kubernetes is new enough for the runtime",
        source="facts 3.1",
        check_site=_kubernetes,
    ),
    Rule(
        code="INF012",
        summary="the runtime's version can do what is asked of it",
        source="requirement G1",
        check_site=_runtime_version,
    ),
)
