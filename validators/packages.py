"""Rules about model packages, and about the packages that deployments name."""

from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Across, Fact, Finding, FleetFacts, Rule
from fleet.inventory.shape import did_you_mean
from fleet.inventory.source import Path
from fleet.model.inference import InferenceDeployment
from fleet.model.supply import ModelPackage

from .images import PINNED
from .inference import BYTES_OF_16_BIT
from .known_packages import packages

_TEMPLATES = {"chat": "chat", "speech": "whisper", "embedding": "embedding"}
"""The template that a package of each modality has (requirement G10)."""


def _named(site: Site) -> Iterator[tuple[Path, str, InferenceDeployment]]:
    """Every package that a site names, as the one served or as a canary."""
    for name, deployment in site.spec.inference.items():
        if deployment.package is not None:
            yield ("inference", name, "package"), deployment.package, deployment
        if deployment.canary is not None:
            yield ("inference", name, "canary", "package"), deployment.canary.package, deployment


def _served(
    site: Site, inventory: Inventory
) -> Iterator[tuple[Path, str, InferenceDeployment, ModelPackage]]:
    """Those of them that the fleet has."""
    known = packages(inventory)
    for path, name, deployment in _named(site):
        if name in known:
            yield path, name, deployment, known[name]


def _exists(site: Site, inventory: Inventory) -> Iterator[Finding]:
    known = packages(inventory)
    for path, name, _deployment in _named(site):
        if name not in known:
            yield Finding(
                path,
                f"the fleet has no model package {name!r}",
                did_you_mean(name, known) or "add it under 'packages' in fleet.yaml",
            )


def _same_model(site: Site, inventory: Inventory) -> Iterator[Finding]:
    for path, name, deployment, package in _served(site, inventory):
        if package.model != deployment.model:
            yield Finding(
                path,
                f"the package {name!r} holds {package.model}; the deployment serves {deployment.model}",
                f"a package of {deployment.model}, or 'model: {package.model}'",
            )


def _same_precision(site: Site, inventory: Inventory) -> Iterator[Finding]:
    for path, name, deployment, package in _served(site, inventory):
        # A canary is the place to try another precision (requirement G31).
        if path[-2] != "canary" and package.precision != deployment.precision:
            yield Finding(
                path,
                f"the package {name!r} is {package.precision}; memory is planned for {deployment.precision}",
                f"'precision: {package.precision}', or another package",
            )


def _same_provider(site: Site, inventory: Inventory) -> Iterator[Finding]:
    facts = catalog.serving()
    for path, name, deployment, package in _served(site, inventory):
        built, onnx = package.execution_provider, facts.runtimes[deployment.runtime].onnx
        if built is not None and not onnx:
            message = f"the package {name!r} is ONNX for {built}, which {deployment.runtime} does not load"
        elif built is None and deployment.runtime == "foundry-local":
            message = f"the package {name!r} is not ONNX, and {deployment.runtime} loads nothing else"
        elif built is not None and deployment.execution_provider not in (None, built):
            message = f"the package {name!r} was built for {built}, not for {deployment.execution_provider}"
        elif built is not None and deployment.accelerator not in facts.providers[built].accelerators:
            message = f"the package {name!r} was built for {built}, which is not for {deployment.accelerator}"
        else:
            continue
        yield Finding(path, message, "the package that was built for this runtime and accelerator")


def _template(site: Site, inventory: Inventory) -> Iterator[Finding]:
    for path, name, deployment, package in _served(site, inventory):
        if package.template != _TEMPLATES[deployment.modality]:
            yield Finding(
                path,
                f"the package {name!r} has the template {package.template}; "
                f"{deployment.modality} needs {_TEMPLATES[deployment.modality]}",
                "another package, or another 'modality'",
            )


def _pinned(inventory: Inventory) -> Iterator[Finding]:
    for name, package in packages(inventory).items():
        if not PINNED.fullmatch(package.artifact):
            yield Finding(
                ("packages", name, "artifact"),
                f"the artifact {package.artifact!r} is not pinned",
                "write host/name@sha256:… with the digest that was evaluated",
            )


def _known_model(inventory: Inventory) -> Iterator[Finding]:
    for name, package in packages(inventory).items():
        if package.model not in inventory.models:
            yield Finding(
                ("packages", name, "model"),
                f"there is no model {package.model!r}",
                did_you_mean(package.model, inventory.models) or "add its card under 'models'",
            )


def _plausible_size(inventory: Inventory) -> Iterator[Finding]:
    shares = catalog.serving()
    for name, package in packages(inventory).items():
        model = inventory.models.get(package.model)
        if model is None:
            continue
        weights = model.weights_gib * BYTES_OF_16_BIT[package.precision]
        least, most = weights * shares.package_least, weights * shares.package_most
        if not least <= package.size_gib <= most:
            yield Finding(
                ("packages", name, "sizeGib"),
                f"{package.size_gib:g} GiB is unlikely for {package.model} in {package.precision}, "
                f"whose weights take {weights:.1f}",
                "measure its files, in GiB of 2^30 bytes",
            )


def _licence(site: Site, inventory: Inventory) -> Iterator[Finding]:
    allowed = site.spec.governance.licences
    if not allowed:
        return
    for path, name, _deployment, package in _served(site, inventory):
        if not _may_have(package.licence, allowed):
            yield Finding(
                path,
                f"the package {name!r} is under {package.licence}, which the site does not allow",
                f"another package, or add {package.licence!r} to 'governance.licences'",
            )


def _may_have(expression: str, allowed: tuple[str, ...]) -> bool:
    """Whether one choice of an SPDX expression is allowed as a whole; brackets are not taken apart."""
    return expression in allowed or any(
        all(part.strip() in allowed for part in choice.split(" AND ")) for choice in expression.split(" OR ")
    )


def _foreign_code(site: Site, inventory: Inventory) -> Iterator[Finding]:
    for path, name, _deployment, package in _served(site, inventory):
        if package.remote_code and package.execution_provider is None:
            yield Finding(
                path,
                f"the package {name!r} was not converted, so its model's own code would run at the site",
                "a package that was converted to ONNX in an isolated build, or another model",
            )


def _evaluated(site: Site, inventory: Inventory) -> Iterator[Finding]:
    if site.spec.environment != "prod":
        return
    for path, name, _deployment, package in _served(site, inventory):
        if package.quality is None:
            yield Finding(
                path,
                f"the package {name!r} serves production, and no result of its evaluation is named",
                "'quality: …' at the package says where it is",
            )


def _evaluated_since(site: Site, inventory: Inventory) -> Iterator[Finding]:
    evaluation = site.spec.evaluation
    if evaluation is None:
        return
    reviewed = evaluation.golden.reviewed_on
    for path, name, _deployment, package in _served(site, inventory):
        if package.evaluated_on is not None and package.evaluated_on < reviewed:
            yield Finding(
                path,
                f"the package {name!r} was evaluated on {package.evaluated_on}; "
                f"the golden set is of {reviewed}",
                "evaluate it again",
            )


def _runtime_of_build(inventory: Inventory) -> Iterator[Finding]:
    for name, package in packages(inventory).items():
        if package.execution_provider is not None and package.onnx_runtime is None:
            yield Finding(
                ("packages", name),
                f"with which ONNX Runtime the package {name!r} was built is not said",
                "add 'onnxRuntime: …'",
            )


def _names(site: Site, _: Inventory) -> Iterator[Fact]:
    for name in sorted({name for _path, name, _deployment in _named(site)}):
        yield (name,)


def _unused(facts: FleetFacts) -> Iterator[Finding]:
    used = {fact[0] for _site, fact in facts.rows}
    for name in sorted(set(facts.raw.get("packages") or ()) - used):
        yield Finding(
            ("packages", name),
            f"no site serves the package {name!r}",
            f"'package: {name}' at a deployment, or remove it",
        )


RULES = (
    Rule(
        code="MOD001",
        summary="a deployment and its canary name packages of the fleet",
        source="requirement I7",
        check_site=_exists,
    ),
    Rule(
        code="MOD002",
        summary="a package holds the model that is served",
        source="requirement I7",
        check_site=_same_model,
    ),
    Rule(
        code="MOD003",
        summary="a package has the precision that memory was planned for",
        source="requirements G16, I7",
        check_site=_same_precision,
    ),
    Rule(
        code="MOD004",
        summary="a package was built for the runtime and the accelerator that serve it",
        source="requirements G15, G17, A22",
        check_site=_same_provider,
    ),
    Rule(
        code="MOD005",
        summary="a package's template is that of its modality",
        source="requirement G10",
        check_site=_template,
    ),
    Rule(
        code="MOD006",
        summary="a model package is pinned by digest",
        source="requirement I7 (checksum), gpu-facts 5.4",
        check_fleet=_pinned,
    ),
    Rule(
        code="MOD007",
        summary="a package's model is in the catalogue",
        source="requirement I7",
        check_fleet=_known_model,
    ),
    Rule(
        code="MOD008",
        summary="a package's size is plausible for its model",
        source="requirement O16; gpu-facts 5.4 and requirement I14 for measured sizes",
        severity="warning",
        check_fleet=_plausible_size,
    ),
    Rule(
        code="MOD009",
        summary="a package's licence is one that the site allows",
        source="requirements P12, P14",
        check_site=_licence,
    ),
    Rule(
        code="MOD010",
        summary="no model's own code runs at a site",
        source="requirement I9, facts 3.4 (trust_remote_code is blocked)",
        check_site=_foreign_code,
    ),
    Rule(
        code="MOD011",
        summary="a package that serves production was evaluated",
        source="requirements G16, N11",
        severity="warning",
        check_site=_evaluated,
    ),
    Rule(
        code="MOD012",
        summary="a package was evaluated with the golden set as it is",
        source="requirements L4, N11",
        severity="warning",
        check_site=_evaluated_since,
    ),
    Rule(
        code="MOD013",
        summary="an ONNX package says with which ONNX Runtime it was built",
        source="requirement G18",
        severity="warning",
        check_fleet=_runtime_of_build,
    ),
    Rule(
        code="MOD014",
        summary="a site serves every package",
        source="requirement I7; a package that nobody serves is not kept current",
        severity="warning",
        across=Across(join=_unused, facts=_names),
    ),
)
