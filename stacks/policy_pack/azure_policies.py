"""Policies about Azure resources, one resource at a time. Pure: each yields what is wrong, in one phrase."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fleet import catalog
from fleet.inventory.secret_shapes import literal_secrets
from fleet.model.azure_local import SecuritySettings

from .declared import UNKNOWN, Declared, at, items, says
from .policy import ResourcePolicy, carried

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_VERSION: Final = re.compile(r"[0-9]+(\.[0-9]+){1,3}([-+.][0-9A-Za-z.-]+)?")
_ROLE: Final = re.compile(r"(?i).*/providers/Microsoft\.Authorization/roleDefinitions/([0-9a-f-]{36})")
_GROUP_OR_BELOW: Final = re.compile(r"(?i)/subscriptions/[^/]+/resourceGroups/[^/]+(/.+)?")
_SECRET_URL: Final = re.compile(r"https://[A-Za-z0-9-]+\.[A-Za-z0-9.-]+/secrets/[A-Za-z0-9-]+")

_SECRETS_BELONG: Final = {
    "azure-native:keyvault:Secret": ("properties", "value"),
    "pulumi:providers:kubernetes": ("kubeconfig",),
}
"""Where resources that are there to hold or use a secret have it; Pulumi encrypts it in the state."""

_FLUX: Final = "microsoft.kubernetesconfiguration/fluxconfigurations"
_PATHS_OF_FLUX_CREDENTIALS: Final = (
    ("gitRepository", "httpsUser"),
    ("gitRepository", "httpsKey"),
    ("bucket", "accessKey"),
    ("azureBlob", "accountKey"),
    ("azureBlob", "sasToken"),
    ("azureBlob", "servicePrincipal", "clientSecret"),
    ("ociRepository", "tlsConfig", "privateKey"),
)


def _literal_secret(resource: Declared, _: Mapping[str, Any]) -> Iterator[str]:
    belongs = _SECRETS_BELONG.get(resource.type)
    for path, kind in literal_secrets(resource.inputs):
        if path != belongs and not (resource.kind == "Secret" and path[:1] in (("data",), ("stringData",))):
            yield f"{'.'.join(map(str, path))} holds {kind}"


def _role(resource: Declared) -> Any:
    """The GUID of the role that an assignment gives; None where none is named by its id."""
    if (definition := at(resource.properties, "roleDefinitionId")) is UNKNOWN:
        return UNKNOWN
    found = _ROLE.fullmatch(str(definition))
    return found[1].lower() if found else None


def _privileged(resource: Declared, _: Mapping[str, Any]) -> Iterator[str]:
    if name := catalog.operating().privileged_roles.get(_role(resource)):
        yield f"the role {name} is given"


def _known_role(resource: Declared, settings: Mapping[str, Any]) -> Iterator[str]:
    role = _role(resource)
    known = {*catalog.azure()["roles"].values(), *(str(r).lower() for r in items(settings.get("allow")))}
    if role is None:
        yield "the role is not given by the id of its definition: …/roleDefinitions/GUID"
    elif role is not UNKNOWN and role not in known:
        yield f"the role {role} is none of the catalogue's"


def _assignment(resource: Declared, _: Mapping[str, Any]) -> Iterator[str]:
    scope = at(resource.inputs, "scope")
    if scope is not UNKNOWN and not _GROUP_OR_BELOW.fullmatch(str(scope)):
        yield f"the scope {scope} is wider than a resource group"
    if at(resource.properties, "principalType") is None:
        yield "principalType is not said"


def _vault(resource: Declared, _: Mapping[str, Any]) -> Iterator[str]:
    for key in ("enableRbacAuthorization", "enableSoftDelete", "enablePurgeProtection"):
        if not says(at(resource.properties, key), True):
            yield f"{key} is not true"


def _storage(resource: Declared, _: Mapping[str, Any]) -> Iterator[str]:
    properties = resource.properties
    tls = at(properties, "minimumTlsVersion")
    if not (says(tls, "TLS1_2") or tls == "TLS1_3"):
        yield "minimumTlsVersion is neither TLS1_2 nor TLS1_3"
    # azure-native's name, and ARM's own.
    https = [at(properties, key) for key in ("enableHttpsTrafficOnly", "supportsHttpsTrafficOnly")]
    if not any(says(value, True) for value in https):
        yield "enableHttpsTrafficOnly is not true"
    if not says(at(properties, "allowBlobPublicAccess"), False):
        yield "allowBlobPublicAccess is not false"


def _container(resource: Declared, _: Mapping[str, Any]) -> Iterator[str]:
    access = at(resource.properties, "publicAccess")
    if access is not None and not says(access, "None"):
        yield f"publicAccess is {access}"


def _deployment_data(resource: Declared) -> Iterator[Any]:
    for unit in items(at(resource.properties, "deploymentConfiguration", "scaleUnits")):
        yield at(unit, "deploymentData")


def _security_settings(resource: Declared, _: Mapping[str, Any]) -> Iterator[str]:
    for data in _deployment_data(resource):
        for name, field in SecuritySettings.model_fields.items():
            key = field.alias or name
            if field.default is True and not says(at(data, "securitySettings", key), True):
                yield f"the security setting {key} is not on"


def _deployment_secrets(resource: Declared, _: Mapping[str, Any]) -> Iterator[str]:
    for data in _deployment_data(resource):
        for number, secret in enumerate(items(at(data, "secrets"))):
            keys = set(secret) if isinstance(secret, Mapping) else set()
            extra = sorted(keys - {"secretName", "eceSecretName", "secretLocation"})
            if extra:
                yield f"secrets[{number}] has {', '.join(extra)} beside its name and location"
            location = at(secret, "secretLocation")
            if location is not UNKNOWN and not _SECRET_URL.fullmatch(str(location)):
                yield f"secrets[{number}].secretLocation is no address of a Key Vault's secret"


def _flux_source(resource: Declared, _: Mapping[str, Any]) -> Iterator[str]:
    properties = resource.properties
    kind = at(properties, "sourceKind")
    if kind is UNKNOWN or properties is UNKNOWN:
        return
    if kind == "OCIRepository":
        yield from oci_source(at(properties, "ociRepository"), ("repositoryRef",))
    elif kind == "GitRepository":
        source = at(properties, "gitRepository")
        if not _starts(at(source, "url"), "https://", "ssh://"):
            yield "gitRepository.url is neither https:// nor ssh://"
        commit = at(source, "repositoryRef", "commit")
        if commit is not UNKNOWN and not _COMMIT.fullmatch(str(commit)):
            yield "gitRepository.repositoryRef has no commit: a branch or tag can be moved"
    else:
        yield f"the source is of the kind {kind}, whose content is not pinned"


def oci_source(source: Any, reference: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with an OCI source of Flux, whose `reference` is a path of keys."""
    if not _starts(at(source, "url"), "oci://"):
        yield "the source's url is not oci://"
    digest = at(source, *reference, "digest")
    if digest is not UNKNOWN and not _DIGEST.fullmatch(str(digest)):
        yield "the source is not pinned by a digest: a tag can be moved"
    if at(source, "insecure") is True:
        yield "the source is insecure: it is fetched without verified TLS"


def _starts(value: Any, *beginnings: str) -> bool:
    return value is UNKNOWN or str(value).startswith(beginnings)


def _flux_credentials(resource: Declared, _: Mapping[str, Any]) -> Iterator[str]:
    for path in _PATHS_OF_FLUX_CREDENTIALS:
        if at(resource.properties, *path) not in (None, "", UNKNOWN):
            yield f"{'.'.join(path)} is given in place"
    if at(resource.properties, "configurationProtectedSettings") not in (None, {}, UNKNOWN):
        yield "configurationProtectedSettings are given in place"


def _extension(resource: Declared, _: Mapping[str, Any]) -> Iterator[str]:
    version = at(resource.properties, "version")
    if version is not UNKNOWN and not _VERSION.fullmatch(str(version)):
        yield "the version is not pinned"
    if not says(at(resource.properties, "autoUpgradeMinorVersion"), False):
        yield "autoUpgradeMinorVersion is not false: Azure would change the version by itself"


def _cluster_access(resource: Declared, _: Mapping[str, Any]) -> Iterator[str]:
    # With disconnected operations there is no Azure RBAC to ask (facts 1.10): groups alone administer.
    connected = resource.inputs.get("location") != "autonomous"
    profile = at(resource.properties, "aadProfile")
    if connected and not says(at(profile, "enableAzureRBAC"), True):
        yield "aadProfile.enableAzureRBAC is not true"
    groups = at(profile, "adminGroupObjectIDs")
    if groups is not UNKNOWN and not items(groups):
        yield "aadProfile.adminGroupObjectIDs names no group: only the cluster's own certificate administers"


POLICIES: Final = (
    carried("SEC001", "literal-secret", _literal_secret, "say where the secret is kept: {env: …}, {file: …}"),
    carried(
        "SEC005",
        "privileged-role",
        _privileged,
        "give the role that does what is needed, and no more",
        arm_type="microsoft.authorization/roleassignments",
    ),
    carried(
        "AZL022",
        "security-settings",
        _security_settings,
        "take the exception out of azureLocal.security",
        arm_type="microsoft.azurestackhci/clusters/deploymentsettings",
    ),
    ResourcePolicy(
        name="role-known",
        summary="a role is given by its id, and is one that the catalogue or the pack's configuration knows",
        source="requirement B16; facts 1.1",
        severity="warning",
        help="name the role's id in this policy's setting `allow`, once somebody has looked at it",
        check=_known_role,
        arm_type="microsoft.authorization/roleassignments",
        settings={"allow": {"type": "array", "items": {"type": "string"}, "default": []}},
    ),
    ResourcePolicy(
        name="role-scope",
        summary="a role is given at a resource group or below it, to a principal whose type is said",
        source="requirement B16; facts 1.1",
        help="give it at the site's resource group or at a resource, with principalType",
        check=_assignment,
        arm_type="microsoft.authorization/roleassignments",
    ),
    ResourcePolicy(
        name="key-vault-protected",
        summary="a Key Vault asks Azure's roles, and what is deleted from it can be brought back",
        source="facts 1.2, step 6",
        help="enableRbacAuthorization, enableSoftDelete and enablePurgeProtection: true",
        check=_vault,
        arm_type="microsoft.keyvault/vaults",
    ),
    ResourcePolicy(
        name="storage-account-private",
        summary="a storage account talks TLS 1.2 or later and has no public blobs",
        source="facts 1.2, step 5",
        help="minimumTlsVersion: TLS1_2, enableHttpsTrafficOnly: true, allowBlobPublicAccess: false",
        check=_storage,
        arm_type="microsoft.storage/storageaccounts",
    ),
    ResourcePolicy(
        name="blob-container-private",
        summary="a blob container is not public",
        source="facts 1.2, step 5",
        help="publicAccess: None",
        check=_container,
        arm_type="microsoft.storage/storageaccounts/blobservices/containers",
    ),
    ResourcePolicy(
        name="deployment-secrets-referenced",
        summary="Azure Local is told where its secrets are, never what they are",
        source="facts 1.5",
        help="secretName, eceSecretName and secretLocation: the address of a secret in the site's Key Vault",
        check=_deployment_secrets,
        arm_type="microsoft.azurestackhci/clusters/deploymentsettings",
    ),
    ResourcePolicy(
        name="flux-source-pinned",
        summary="Flux pulls what is pinned, over an encrypted connection",
        source="facts 2.4; requirement C9",
        help="sourceKind OCIRepository with repositoryRef.digest, or GitRepository with repositoryRef.commit",
        check=_flux_source,
        arm_type=_FLUX,
    ),
    ResourcePolicy(
        name="flux-no-credential",
        summary="Flux's credentials are in a Kubernetes secret that the configuration names",
        source="facts 2.4",
        help="localAuthRef: the name of a secret in Flux's namespace",
        check=_flux_credentials,
        arm_type=_FLUX,
    ),
    ResourcePolicy(
        name="extension-pinned",
        summary="an Arc extension has a version that nobody but a rollout changes",
        source="facts 2.5 and 3.1",
        help="a version, and autoUpgradeMinorVersion: false",
        check=_extension,
        arm_type="microsoft.kubernetesconfiguration/extensions",
    ),
    ResourcePolicy(
        name="cluster-access",
        summary="people reach the cluster through Entra groups and Azure's roles",
        source="facts 1.9",
        help="kubernetes.adminGroups names a group; Azure RBAC is on where there is an Azure to ask",
        check=_cluster_access,
        arm_type="microsoft.kubernetes/connectedclusters",
    ),
)
"""In the order in which they are shown."""
