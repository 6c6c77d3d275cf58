"""Which resource providers a site's subscription must have registered (facts 1.1). Pure.

Registering is an explicit step before the program, and not a part of it. Azure registers by an action
(POST …/register), azure-native has only resources that are PUT (pulumi/pulumi-azure-native issue 1075) and no
function that reads a registration; and a registration belongs to the subscription, which many sites' stacks
share: none may own it, and destroying one must not take it from the others. So the program says what it
needs (output `resourceProviders`), and Azure refuses with MissingSubscriptionRegistration what is missing.
"""

from fleet import catalog
from fleet.model.site import SiteSpec

from .arc_extensions import data_collection_rules, extensions
from .deployment_settings import uses_witness


def resource_providers(spec: SiteSpec) -> tuple[str, ...]:
    """The namespaces, those of every site first and then by what the site uses."""
    used = {extension.name for extension in extensions(spec)}
    if uses_witness(spec):
        used.add("witness")
    if spec.azure.monitoring.audit is not None or data_collection_rules(spec):
        used.add("monitoring")
    optional: dict[str, list[str]] = catalog.azure()["resourceProvidersFor"]
    more = [namespace for what, needed in optional.items() if what in used for namespace in needed]
    return (*catalog.azure()["resourceProviders"], *more)


def registration_commands(spec: SiteSpec) -> tuple[str, ...]:
    """What registers them, once for the subscription; repeating it changes nothing."""
    subscription = spec.azure.subscription
    return tuple(
        f"az provider register --subscription {subscription} --namespace {namespace} --wait"
        for namespace in resource_providers(spec)
    )
