"""One way to declare an ARM resource at an API version of our choice.

Needed because pulumi-azure-native 3.29 sends too old versions for Azure Local, connected clusters,
extensions and Flux, and has no class for AKS on Azure Local at all (facts 6).
"""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_azure_native as azure_native

from fleet import catalog

from .names import parse_arm_id

_ENVELOPE = frozenset({"location", "kind", "identity", "tags", "extendedLocation", "properties"})


def arm_resource(
    name: str, resource_id: str, body: Mapping[str, Any], opts: pulumi.ResourceOptions
) -> azure_native.resources.Resource:
    """Declare the resource with that ARM id and body. `name` is the logical name in the stack.

    The id says everything else: its last type picks the API version from the catalogue, and what stands
    between the first namespace and that type becomes the parent path. That path is empty for a resource
    directly in a group; ARM accepts the doubled slash that azure-native then sends.

    Raises KeyError for a type whose API version is not in the catalogue, ValueError for a key that the
    generic resource doesn't carry: a silently dropped part of a body would be worse.
    """
    unknown = sorted(set(body) - _ENVELOPE)
    if unknown:
        raise ValueError(f"{name}: a generic resource has no {', '.join(unknown)}")
    target = parse_arm_id(resource_id)
    return azure_native.resources.Resource(
        name,
        api_version=catalog.azure()["apiVersions"][target.full_type],
        resource_group_name=target.resource_group,
        resource_provider_namespace=target.namespace,
        parent_resource_path=target.parent,
        resource_type=target.type,
        # The trailing underscore is azure-native's: `resource_name` is the first argument's name there,
        # and passing it would rename the resource in the stack, not in Azure.
        resource_name_=target.name,
        location=body.get("location"),
        kind=body.get("kind"),
        identity=body.get("identity"),
        tags=body.get("tags"),
        extended_location=body.get("extendedLocation"),
        properties=body.get("properties"),
        opts=opts,
    )


def extended_location(custom_location_id: str) -> dict[str, str]:
    """The `extendedLocation` of a resource that lives on an Azure Local cluster."""
    return {"name": custom_location_id, "type": "CustomLocation"}


def hours(count: int) -> pulumi.CustomTimeouts:
    """A limit for creating, updating and deleting, in hours: ARM's long operations on real hardware."""
    return pulumi.CustomTimeouts(create=f"{count}h", update=f"{count}h", delete=f"{count}h")
