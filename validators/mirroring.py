"""Rules about how images and models reach a site."""

from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.source import Path
from fleet.model.site import Connectivity

from .images import images
from .inference import model_gib

MINUTES_A_WEEK = 7 * 24 * 60
WEEKS_AT_MOST = 4
"""A model that takes longer to arrive is out of date, or its windows are a mistake."""
GIB_IN_MBIT = 1024**3 * 8 / 1e6


def _hosts(site: Site) -> Iterator[tuple[Path, str, str]]:
    """The registries that a site's images are named with: where, the host, what needs it."""
    for path, image in images(site):
        host, slash, _rest = image.partition("/")
        if slash and ("." in host or ":" in host):
            yield path, host, f"{path[1]!r}"
    gpu = site.spec.gpu
    if gpu is not None and gpu.operator is not None:
        for host in catalog.scheduling().operator_hosts:
            yield ("gpu", "operator"), host, "the GPU operator"
    if gpu is not None and gpu.kai is not None:
        for host in catalog.scheduling().kai_hosts:
            yield ("gpu", "kai"), host, "KAI"


def _mirrored(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    if spec.connectivity.mode == "connected" or spec.registry is None:
        return
    known = {spec.delivery.registry, spec.registry.host, *(u.host for u in spec.registry.upstreams)}
    for path, host, what in _hosts(site):
        if host not in known:
            known.add(host)  # one finding a registry
            yield Finding(
                path,
                f"{what} comes from {host}, which the site's registry does not mirror",
                f"add '{{host: {host}}}' to 'registry.upstreams'",
            )


def _no_pull_through(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    if spec.connectivity.mode != "disconnected" or spec.registry is None:
        return
    for number, upstream in enumerate(spec.registry.upstreams):
        if upstream.pull_through:
            yield Finding(
                ("registry", "upstreams", number, "pullThrough"),
                f"a disconnected site can't fetch from {upstream.host} when an image is first asked for",
                "'pullThrough: false', with the images mirrored beforehand",
            )


def open_minutes(connectivity: Connectivity) -> int:
    """Minutes a week in which the link may carry images and models; windows that overlap count twice."""
    if not connectivity.windows:
        return MINUTES_A_WEEK
    total = sum(len(set(window.days)) * window.minutes for window in connectivity.windows)
    return min(total, MINUTES_A_WEEK)


def _transfers(site: Site, inventory: Inventory) -> Iterator[tuple[str, float, str]]:
    """For each deployment the weeks that its model needs to arrive, and how that was worked out."""
    spec = site.spec
    connectivity = spec.connectivity
    rate = connectivity.rate_limit_mbps or connectivity.link_mbps
    if connectivity.mode == "disconnected" or rate is None:
        return
    goodput, minutes = catalog.serving().goodput, open_minutes(connectivity)
    for name, deployment in spec.inference.items():
        gib = model_gib(deployment, inventory)
        hours = gib * GIB_IN_MBIT / (rate * goodput) / 3600
        how = (
            f"{gib:.1f} GiB over {goodput:.0%} of {rate} Mbit/s take {hours:.1f} h, "
            f"and the link is open {minutes / 60:.1f} h a week"
        )
        yield name, hours * 60 / minutes, how


def _arrives(site: Site, inventory: Inventory) -> Iterator[Finding]:
    for name, weeks, how in _transfers(site, inventory):
        if weeks > WEEKS_AT_MOST:
            yield Finding(
                ("inference", name),
                f"the model of {name} takes {weeks:.1f} weeks to arrive: {how}",
                "more of the link, longer windows, a smaller precision, or a bundle on a disk",
            )


def _arrives_in_a_week(site: Site, inventory: Inventory) -> Iterator[Finding]:
    for name, weeks, how in _transfers(site, inventory):
        if 1 < weeks <= WEEKS_AT_MOST:
            yield Finding(
                ("inference", name),
                f"the model of {name} takes {weeks:.1f} weeks to arrive: {how}",
                "more of the link, longer windows, or a smaller precision",
            )


def _named_pulls(site: Site, _: Inventory) -> Iterator[Finding]:
    registry = site.spec.registry
    if registry is not None and registry.anonymous_pull and site.spec.environment == "prod":
        yield Finding(
            ("registry", "anonymousPull"),
            "whoever reaches the registry of a production site may pull from it",
            "'anonymousPull: false'",
        )


def _scanned(site: Site, _: Inventory) -> Iterator[Finding]:
    registry = site.spec.registry
    if registry is not None and not registry.scan and site.spec.environment == "prod":
        yield Finding(
            ("registry", "scan"),
            "images reach a production site without a scan for vulnerabilities",
            "'scan: true'",
        )


def _one_before(site: Site, _: Inventory) -> Iterator[Finding]:
    if site.spec.environment != "prod":
        return
    for key, what, store in (
        ("registry", "image", site.spec.registry),
        ("modelCache", "model", site.spec.model_cache),
    ):
        if store is not None and store.keep_versions < 2:
            yield Finding(
                (key, "keepVersions"),
                f"with one version of each {what} there is none to go back to",
                "'keepVersions: 2'",
            )


RULES = (
    Rule(
        code="MIR001",
        summary="the site's registry mirrors every registry that its images are named with",
        source="requirements I4, I11, I12; gpu-facts 1.1, 2.2",
        check_site=_mirrored,
    ),
    Rule(
        code="MIR002",
        summary="a disconnected site fetches nothing when it is first asked for",
        source="requirement I4",
        check_site=_no_pull_through,
    ),
    Rule(
        code="MIR003",
        summary="a model can arrive over the site's link within four weeks",
        source="requirement A4, gpu-facts 5.3, 5.4; four weeks are this project's limit",
        check_site=_arrives,
    ),
    Rule(
        code="MIR004",
        summary="a model arrives over the site's link within a week",
        source="requirement A4, gpu-facts 5.3, 5.4",
        severity="warning",
        check_site=_arrives_in_a_week,
    ),
    Rule(
        code="MIR005",
        summary="pulling from a production site's registry takes a name",
        source="requirements I5, B11",
        severity="warning",
        check_site=_named_pulls,
    ),
    Rule(
        code="MIR006",
        summary="images are scanned before they reach production",
        source="requirement I8",
        severity="warning",
        check_site=_scanned,
    ),
    Rule(
        code="MIR007",
        summary="production keeps the version before of images and models",
        source="requirements I2, I6",
        severity="warning",
        check_site=_one_before,
    ),
)
