"""A self-managed backend in Azure Blob Storage, read with Microsoft's SDK (the extra `azblob`).

The URL's parameters and the environment variables are those of blob/azureblob/azureblob.go of
google/go-cloud (`ServiceURLOptions`, `NewServiceURL`, `newCredInfoFromEnv`), which Pulumi opens it with. The
order of logins is the same: an account's key, a shared access signature, a connection string, then
DefaultAzureCredential, where `az login` is.
"""

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from fleet.adapters.pulumi_backend_blobs import MAX_BYTES, BackendUrl, Blob, refuse_plain_http
from fleet.ports.state import BackendError

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

_KNOWN = frozenset({"domain", "protocol", "cdn", "localemu", "storage_account", "prefix"})
_SIGN_IN = "az login, or set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN as for the Pulumi CLI"
_MAY_READ = (
    "it takes the role Storage Blob Data Reader on the container"  # Azure's built-in role, from memory
)


class AzureBlobs:
    """The backend `azblob://CONTAINER/FOLDER?storage_account=ACCOUNT`.

    `environment` is where the login is looked for. Raises `BackendError`: BCK001 for a URL that can't be
    used, BCK004 without Microsoft's SDK.
    """

    def __init__(self, url: BackendUrl, environment: Mapping[str, str] = os.environ) -> None:
        url.refuse_unknown(_KNOWN)
        if not url.host:
            raise BackendError("BCK001", "the backend's URL names no container", "azblob://CONTAINER")
        self._container, self._prefix, self._shown = url.host, url.prefix, url.shown
        self._client = _client(url, environment)

    def list(self, prefix: str) -> list[Blob]:
        """Every blob whose name begins so."""
        from azure.core.exceptions import AzureError

        try:
            return [
                Blob(item.name.removeprefix(self._prefix), item.last_modified.timestamp())
                for item in self._client.list_blobs(name_starts_with=self._prefix + prefix)
            ]
        except AzureError as error:
            self._fail(error)

    def get(self, key: str) -> bytes | None:
        """A blob's bytes."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        try:
            return bytes(self._client.download_blob(self._prefix + key).read(MAX_BYTES + 1))
        except ResourceNotFoundError as error:
            if _code(error) == "BlobNotFound":
                return None
            self._fail(error)
        except AzureError as error:
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        raise self._told(error) from None

    def _told(self, error: Exception) -> BackendError:
        """A failure of the SDK as one of ours; of its words only the first line, which holds no secret."""
        from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

        code = _code(error)
        status = getattr(error, "status_code", None)
        if code in ("ContainerNotFound", "ContainerBeingDeleted"):
            return BackendError(
                "BCK003",
                f"there is no container {self._container}",
                "look at the backend's URL: pulumi whoami -v",
            )
        if code in (
            "AuthorizationPermissionMismatch",
            "AuthorizationFailure",
            "InsufficientAccountPermissions",
        ):
            return BackendError(
                "BCK002", f"whoever is signed in may not read {self._shown}: {code}", _MAY_READ
            )
        if isinstance(error, ClientAuthenticationError) or status in (401, 403):
            return BackendError(
                "BCK002",
                f"Azure did not accept the login for {self._shown}: {code or _first_line(error)}",
                _SIGN_IN,
            )
        if isinstance(error, HttpResponseError):
            why = code or _first_line(error)
            return BackendError("BCK005", f"Azure Blob Storage failed at {self._shown}: {why}", "try again")
        return BackendError(
            "BCK005",
            f"{self._shown} can't be reached: {_first_line(error)}",
            "look at the network, and at the name of the storage account",
        )


def _client(url: BackendUrl, environment: Mapping[str, str]) -> "ContainerClient":
    try:
        from azure.storage.blob import ContainerClient
    except ImportError:
        raise BackendError(
            "BCK004",
            "reading a backend in Azure Blob Storage needs azure-storage-blob and azure-identity",
            "pip install 'fleet-toolkit[azblob]'",
        ) from None
    # The SDK's warnings about each login that it tries would stand before the one message that counts.
    logging.getLogger("azure").addHandler(logging.NullHandler())
    connection = environment.get("AZURE_STORAGE_CONNECTION_STRING") or environment.get(
        "AZURE_STORAGEBLOB_CONNECTIONSTRING"
    )
    account, key = environment.get("AZURE_STORAGE_ACCOUNT"), environment.get("AZURE_STORAGE_KEY")
    signature = environment.get("AZURE_STORAGE_SAS_TOKEN")
    # Somebody waits: the SDK's own pauses, of 15 s and more before each try, would be no answer.
    patience: dict[str, Any] = {"connection_timeout": 10, "read_timeout": 60, "retry_total": 3}
    patience |= {"initial_backoff": 1, "increment_base": 2, "random_jitter_range": 1}
    try:
        if connection and not (account and key) and not signature:
            client = ContainerClient.from_connection_string(connection, url.host, **patience)
            refuse_plain_http(client.url)
            return client
        address = _account_url(url, environment)
        credential: Any
        if account and key:
            credential = {"account_name": account, "account_key": key}
        elif signature:
            credential = signature.removeprefix("?")
        else:
            credential = _default_credential()
        return ContainerClient(address, url.host, credential=credential, **patience)
    except ValueError:
        # The SDK's words may repeat what it was given.
        raise BackendError(
            "BCK001",
            "the login or the URL of the backend is malformed",
            "look at AZURE_STORAGE_… and the URL",
        ) from None


def _default_credential() -> Any:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise BackendError(
            "BCK004", "signing in to Azure needs azure-identity", "pip install 'fleet-toolkit[azblob]'"
        ) from None
    return DefaultAzureCredential()


def _account_url(url: BackendUrl, environment: Mapping[str, str]) -> str:
    """The address of the storage account, as `NewServiceURL` composes it."""

    def setting(parameter: str, variable: str) -> str:
        return url.parameters.get(parameter) or environment.get(variable, "")

    account = setting("storage_account", "AZURE_STORAGE_ACCOUNT")
    if not account:
        raise BackendError(
            "BCK001",
            "nothing names the storage account",
            "azblob://CONTAINER?storage_account=ACCOUNT, or set AZURE_STORAGE_ACCOUNT",
        )
    domain = setting("domain", "AZURE_STORAGE_DOMAIN") or "blob.core.windows.net"
    protocol = setting("protocol", "AZURE_STORAGE_PROTOCOL") or "https"
    if protocol not in ("http", "https"):
        raise BackendError("BCK001", f"{protocol!r} is not a protocol of Blob Storage", "https")
    if domain.startswith(("127.0.0.1", "localhost")) or _flag(
        url, environment, "localemu", "IS_LOCAL_EMULATOR"
    ):
        address = f"{protocol}://{domain}/{account}"
    elif _flag(url, environment, "cdn", "IS_CDN"):
        address = f"{protocol}://{domain}"
    else:
        address = f"{protocol}://{account}.{domain}"
    refuse_plain_http(address)
    return address


def _flag(url: BackendUrl, environment: Mapping[str, str], parameter: str, variable: str) -> bool:
    if parameter in url.parameters:
        return url.flag(parameter)
    # Go's strconv.ParseBool, whose error counts as false here.
    return environment.get(f"AZURE_STORAGE_{variable}", "") in ("1", "t", "T", "true", "TRUE", "True")


def _code(error: Exception) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
