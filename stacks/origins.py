"""`inventory_path`: the field of the inventory behind a resource, for a message about that resource. Pure."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

import yaml

from fleet.model.site import SiteSpec

from .access import role_assignments
from .arc_cluster import agent_pools
from .arc_extensions import data_collection_rules, extensions, load_balancer_body
from .azure_local import node_group_roles
from .deployment_settings import LCM_USER, LOCAL_ADMIN, WITNESS_KEY
from .in_cluster_origins import in_cluster_origins

_DEPLOYMENT_DATA = "properties.deploymentConfiguration.scaleUnits.deploymentData."
_POSITION = re.compile(r"\[[^\]]*\]|\.\d+(?=\.|$)")


def inventory_path(spec: SiteSpec, resource_name: str, property_path: str | None = None) -> str | None:
    """Where the inventory says what a resource of the site's program is made from.

    `resource_name` is the logical name in the stack (the last part of its URN), `property_path` an input
    of it in Pulumi's words, `properties.controlPlane.count`. The answer is a path of the site,
    `kubernetes.nodePools.gpu` or `azureLocal.nodes[0]`: the property's own field where it is known, else the
    resource's. None for a name that the program doesn't declare for this site; a name is enough, whatever
    the phase.
    """
    of_resource = resource_origins(spec).get(resource_name) or in_cluster_origins(spec).get(resource_name)
    if of_resource is None or property_path is None:
        return of_resource
    path = _POSITION.sub("", property_path).removeprefix(_DEPLOYMENT_DATA)
    kind = "node-pool" if resource_name.startswith("node-pool-") else resource_name
    fields = _fields().get(kind, {})
    steps = path.split(".")
    for end in range(len(steps), 0, -1):
        if (found := fields.get(".".join(steps[:end]))) is not None:
            return f"{of_resource}.{found}" if kind == "node-pool" else found
    return of_resource


def resource_origins(spec: SiteSpec) -> dict[str, str]:
    """The field behind each resource and component that the program may declare in Azure, by name.

    What it declares inside the cluster is in `in_cluster_origins`, which renders the site to know.
    """
    found = {
        spec.name: "azureLocal",
        spec.kubernetes.name: "kubernetes",
        "platform": "platform",
        "access": "azure.roleAssignments",
        "azure": "azure.subscription",
        "resource-group": "azure.resourceGroup",
        "key-vault": "azureLocal.keyVault",
        "key-vault-audit": "azure.monitoring.audit",
        "witness": "azureLocal.witness",
        "cluster": "azureLocal.clusterName",
        "deployment": "azureLocal",
        f"secret-{LOCAL_ADMIN}": "azureLocal.secrets.localAdmin",
        f"secret-{LCM_USER}": "azureLocal.secrets.lcmUser",
        f"secret-{WITNESS_KEY}": "azureLocal.witness",
        "hci-provider-azure-connected-machine-resource-manager": "azure.hciResourceProviderObjectId",
        "logical-network": "kubernetes.network",
        "connected-cluster": "kubernetes.name",
        "provisioned-cluster": "kubernetes",
        "flux-configuration": "delivery",
    }
    for number, node in enumerate(spec.azure_local.nodes):
        roles = (*node_group_roles(spec), "key-vault-secrets-user")
        of_node = [f"machine-{node.name}", f"edge-device-{node.name}", *(f"{node.name}-{r}" for r in roles)]
        found |= dict.fromkeys(of_node, f"azureLocal.nodes[{number}]")
    given = list(spec.azure.role_assignments)
    for name, assignment in role_assignments(spec).items():
        found[name] = f"azure.roleAssignments[{given.index(assignment)}]"
    found |= {f"node-pool-{pool}": f"kubernetes.nodePools.{pool}" for pool in agent_pools(spec)}
    found |= {f"extension-{item.name}": item.origin for item in extensions(spec)}
    for name in data_collection_rules(spec):
        rule = "metricsRule" if "Metrics" in name else "logsRule"
        found[f"monitor-rule-{name}"] = f"azure.monitoring.{rule}"
    if load_balancer_body(spec) is not None:
        found["load-balancer"] = "kubernetes.network.loadBalancer"
    return found


@cache
def _fields() -> Mapping[str, Mapping[str, str]]:
    text = resources.files(__package__).joinpath("origins.yaml").read_text(encoding="utf-8")
    fields: Mapping[str, Mapping[str, str]] = yaml.safe_load(text)
    return fields
