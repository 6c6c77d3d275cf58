"""The URL of a self-managed Pulumi backend, and its files in a folder.

Pulumi opens these URLs with the Go CDK: pkg/backend/diy/backend.go of pulumi/pulumi (`massageBlobPath`,
`newDIYBackend`), blob/blob.go and blob/fileblob of google/go-cloud.
"""

import errno
import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from fleet.ports.state import BackendError

MAX_BYTES: Final = 64 << 20
"""No state of a site is a tenth of it; what is larger is something else, or was made to fill memory."""
_ADDRESSES: Final = ("endpoint", "domain")
"""Parameters that are an address, which the SDKs' errors repeat."""
_FOLDER_PARAMETERS = frozenset({"no_tmp_dir", "metadata", "create_dir", "dir_file_mode", "prefix"})
"""How files are written (fileblob), which a reader need not know; `prefix` is every bucket's."""


@dataclass(frozen=True)
class Blob:
    """A file of a backend: its key, and when it was last written, in seconds since 1970."""

    key: str
    modified: float


class Blobs(Protocol):
    """The files of a backend; keys have slashes and are relative to its root.

    Both methods raise `BackendError`.
    """

    def list(self, prefix: str) -> list[Blob]:
        """Every file whose key begins with `prefix`, which ends in a slash."""
        ...

    def get(self, key: str) -> bytes | None:
        """A file's content, of one larger than `MAX_BYTES` its beginning; None when there is no such file."""
        ...


@dataclass(frozen=True)
class BackendUrl:
    """The parts of a URL such as `s3://bucket/folder?region=eu-west-1`. `prefix` ends in a slash or is empty.

    `shown` is for a person: without query and user.
    """

    scheme: str
    host: str
    prefix: str
    parameters: dict[str, str]
    shown: str

    def refuse_unknown(self, known: Collection[str]) -> None:
        """Raise `BackendError` (BCK001) for a parameter that is not among `known`; its value is not told."""
        for name in sorted(self.parameters.keys() - set(known)):
            raise BackendError(
                "BCK001",
                f"the URL of a backend of the kind {self.scheme}:// has no parameter {name!r}",
                f"it has: {', '.join(sorted(known))}",
            )

    def flag(self, *names: str) -> bool:
        """Whether one of these parameters is true. Raises `BackendError` (BCK001) for what is neither."""
        found = False
        for name in names:
            text = self.parameters.get(name, "")
            # Go's strconv.ParseBool takes just these.
            if text not in (
                "",
                "1",
                "t",
                "T",
                "true",
                "TRUE",
                "True",
                "0",
                "f",
                "F",
                "false",
                "FALSE",
                "False",
            ):
                raise BackendError("BCK001", f"{name} in the backend's URL is neither true nor false", "true")
            found |= text[:1] in ("1", "t", "T")
        return found


def parse_url(url: str) -> BackendUrl:
    """Take a backend's URL apart. Raises `BackendError` (BCK001)."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise BackendError("BCK001", "the URL of the backend is malformed", _EXAMPLES) from None
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    parameters = dict(pairs)
    addresses = [parameters.get(name, "") for name in _ADDRESSES]
    if parts.username or parts.password or any(mark in text for text in addresses for mark in "@?#"):
        raise BackendError(
            "BCK001",
            "the URL of the backend, or the address of the store in it, holds a user or a password",
            "leave it out, and sign in as for the Pulumi CLI: an environment variable, a profile or az login",
        )
    if len(parameters) < len(pairs):
        raise BackendError("BCK001", "the URL of the backend says a parameter twice", "say it once")
    if parts.scheme == "file":
        return BackendUrl("file", "", "", parameters, url.partition("?")[0])
    folder = unquote(parts.path).strip("/")
    # The parameter's prefix is outside of the path's, and is taken as it is (blob.PrefixedBucket).
    prefix = parameters.get("prefix", "") + (f"{folder}/" if folder else "")
    # A bucket's name may have capitals, which `hostname` has not.
    bucket = parts.netloc if parts.netloc.lower() == host else host
    return BackendUrl(
        parts.scheme, bucket, prefix, parameters, f"{parts.scheme}://{bucket}{parts.path}".rstrip("/")
    )


_EXAMPLES = (
    "--state file:///srv/pulumi, s3://BUCKET/FOLDER, azblob://CONTAINER?storage_account=ACCOUNT, or cli"
)


def plain_http_elsewhere(address: str) -> bool:
    """Whether an address is HTTP without TLS, and not of this machine."""
    parts = urlsplit(address)
    return parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1")


def refuse_plain_http(address: str) -> None:
    """Raise `BackendError` (BCK001) for an address by which states would travel unencrypted."""
    if plain_http_elsewhere(address):
        raise BackendError(
            "BCK001",
            "the URL of the backend asks for HTTP without TLS",
            "states travel encrypted only: give the store a certificate, or read it with --state cli",
        )


class FolderBlobs:
    """The backend `file://…`; `~` and a relative path are understood as the Pulumi CLI does."""

    def __init__(self, url: BackendUrl, text: str) -> None:
        url.refuse_unknown(_FOLDER_PARAMETERS)
        folder = unquote(text.removeprefix("file://").partition("?")[0])
        self._root = Path(folder or ".").expanduser().absolute()
        self._prefix = url.parameters.get("prefix", "")
        if not self._root.is_dir():
            raise BackendError(
                "BCK003", f"there is no folder {self._root}", "look at the backend's URL: pulumi whoami -v"
            )

    def list(self, prefix: str) -> list[Blob]:
        """Every file below a folder."""

        def fail(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise _unreadable(error)

        found = []
        for folder, _, names in os.walk(self._path(prefix), onerror=fail):
            for name in names:
                path = Path(folder, name)
                try:
                    modified = path.stat().st_mtime_ns / 1e9
                except OSError as error:
                    if path.is_symlink():  # it leads nowhere, which is not the same as no file
                        raise _unreadable(error) from None
                    continue  # it went away meanwhile, as a lock does
                found.append(Blob(prefix + path.relative_to(self._path(prefix)).as_posix(), modified))
        return sorted(found, key=lambda blob: blob.key)

    def get(self, key: str) -> bytes | None:
        """A file's bytes, and never a device's or a pipe's, which may not end."""
        try:
            with os.fdopen(os.open(self._path(key), os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise OSError(errno.EINVAL, "it is not a file", str(self._path(key)))
                return file.read(MAX_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(error) from None

    def _path(self, key: str) -> Path:
        return self._root / (self._prefix + key)


def _unreadable(error: OSError) -> BackendError:
    code = "BCK002" if isinstance(error, PermissionError) else "BCK005"
    return BackendError(
        code, f"{error.filename} can't be read: {error.strerror}", "run as somebody who may read the backend"
    )
