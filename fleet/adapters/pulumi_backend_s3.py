"""A self-managed backend in S3 or a store that speaks S3, read with boto3 (the extra `s3`).

The URL's parameters are those of blob/s3blob/s3blob.go (`URLOpener`) and aws/aws.go
(`V2ConfigFromURLParams`) of google/go-cloud, with what Pulumi still takes of older ones
(`translateLegacyS3Params` in pkg/backend/diy/backend.go). Who signs in is boto3's own search: environment,
profile, container or instance.
"""

from typing import Any, NoReturn

from fleet.adapters.pulumi_backend_blobs import MAX_BYTES, BackendUrl, Blob, refuse_plain_http
from fleet.ports.state import BackendError

_WRITING = frozenset({"ssetype", "kmskeyid", "rate_limiter_capacity", "awssdk", "hostname_immutable"}) | {
    "request_checksum_calculation",
    "response_checksum_validation",
}
"""They say how objects are written or requests are paced, which a reader need not know."""
_KNOWN = _WRITING | {
    *("region", "endpoint", "profile", "anonymous", "dualstack", "fips", "accelerate", "prefix"),
    *("use_path_style", "s3ForcePathStyle", "disable_https", "disableSSL"),
}
_NOT_THERE = frozenset({"NoSuchKey", "404", "NotFound"})
_LOGIN = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
    | {"RequestExpired", "AuthFailure", "UnrecognizedClientException"}
)
_REGION = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
_SIGN_IN = "aws sso login, or set AWS_PROFILE or AWS_ACCESS_KEY_ID; ?profile=NAME in the URL names another"


class S3Blobs:
    """The backend `s3://BUCKET/FOLDER?region=…`.

    Raises `BackendError`: BCK001 for a URL that can't be used, BCK002 without a login, BCK004 without boto3.
    """

    def __init__(self, url: BackendUrl) -> None:
        if "role" in url.parameters:
            raise BackendError(
                "BCK001",
                "fleet does not assume a role that the backend's URL names",
                "name it in a profile (role_arn) and use ?profile=NAME, or --state cli",
            )
        url.refuse_unknown(_KNOWN)
        self._bucket, self._prefix, self._shown = url.host, url.prefix, url.shown
        if not self._bucket:
            raise BackendError("BCK001", "the backend's URL names no bucket", "s3://BUCKET/FOLDER")
        self._client = _client(url)

    def list(self, prefix: str) -> list[Blob]:
        """Every object whose key begins so."""
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

        found = []
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for item in page.get("Contents", ()):
                    key = str(item["Key"]).removeprefix(self._prefix)
                    found.append(Blob(key, item["LastModified"].timestamp()))
        except (BotoCoreError, ClientError) as error:
            self._fail(error)
        return found

    def get(self, key: str) -> bytes | None:
        """An object's bytes."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            return bytes(answer["Body"].read(MAX_BYTES + 1))
        except ClientError as error:
            if _code(error) in _NOT_THERE:
                return None
            self._fail(error)
        except BotoCoreError as error:
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        raise _told(error, self._bucket, self._shown) from None


def _client(url: BackendUrl) -> Any:
    try:
        import boto3  # type: ignore[import-untyped]
        from botocore import UNSIGNED  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise BackendError(
            "BCK004", "reading a backend in S3 needs boto3", "pip install 'fleet-toolkit[s3]'"
        ) from None
    plain = url.flag("disable_https", "disableSSL")
    endpoint = url.parameters.get("endpoint") or None
    if endpoint and "://" not in endpoint:
        endpoint = f"{'http' if plain else 'https'}://{endpoint}"
    refuse_plain_http(endpoint or ("http://s3.amazonaws.com" if plain else "https://s3.amazonaws.com"))
    settings: dict[str, Any] = {
        "s3": {
            "addressing_style": "path" if url.flag("use_path_style", "s3ForcePathStyle") else "auto",
            "use_accelerate_endpoint": url.flag("accelerate"),
        },
        "use_dualstack_endpoint": url.flag("dualstack") or None,
        "use_fips_endpoint": url.flag("fips") or None,
        # Somebody waits: five tries of a minute each would be no answer.
        "connect_timeout": 10,
        "read_timeout": 60,
        "retries": {"max_attempts": 3, "mode": "standard"},
    }
    if url.flag("anonymous"):
        settings["signature_version"] = UNSIGNED
    try:
        session = boto3.Session(
            profile_name=url.parameters.get("profile") or None,
            region_name=url.parameters.get("region") or None,
        )
        return session.client("s3", endpoint_url=endpoint, config=Config(**settings))
    except (BotoCoreError, ValueError) as error:
        raise _told(error, url.host, url.shown) from None


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _told(error: Exception, bucket: str, shown: str) -> BackendError:
    """A failure of boto3 as one of ours; its own words hold no secret."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        code = _code(error)
        if code == "NoSuchBucket":
            return BackendError(
                "BCK003", f"there is no bucket {bucket}", "look at the backend's URL: pulumi whoami -v"
            )
        if code in _LOGIN:
            return BackendError("BCK002", f"S3 did not accept the login for {shown}: {code}", _SIGN_IN)
        if code in _REGION:
            return BackendError(
                "BCK003", f"the bucket {bucket} is in another region", "add ?region=REGION to the URL"
            )
        if code in ("AccessDenied", "403", "Forbidden"):
            return BackendError(
                "BCK002",
                f"whoever is signed in may not read {shown}",
                "it takes s3:ListBucket and s3:GetObject, and the use of the key that encrypts them",
            )
        return BackendError(
            "BCK005", f"S3 failed at {shown}: {error}", "try again; --state cli asks the Pulumi CLI"
        )
    if isinstance(
        error,
        exceptions.NoCredentialsError
        | exceptions.PartialCredentialsError
        | exceptions.CredentialRetrievalError
        | exceptions.ProfileNotFound
        | exceptions.SSOError
        | exceptions.TokenRetrievalError,
    ):
        return BackendError("BCK002", f"nobody is signed in to S3 for {shown}: {error}", _SIGN_IN)
    if isinstance(error, exceptions.ParamValidationError | exceptions.NoRegionError | ValueError):
        return BackendError(
            "BCK001", f"the backend's URL can't be used: {error}", "s3://BUCKET/FOLDER?region=REGION"
        )
    return BackendError(
        "BCK005", f"{shown} can't be reached: {error}", "look at the network and the endpoint"
    )
