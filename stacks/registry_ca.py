"""The private authority that signed the certificate of a site's registry."""

import base64
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fleet.model.site import SiteSpec

from .errors import StackError

_LABEL = re.compile(rb"-----BEGIN ([^\r\n]*?)-----")
_MAX_BYTES = 1 << 20  # the bundle of every public authority is a quarter of this


def read_ca(inventory_folder: Path, spec: SiteSpec) -> str | None:
    """Base64 of the PEM that `registry.caFile` names, as a Flux configuration wants it; None without one.

    The content goes to Azure in plain text. So the file has to be in the inventory's folder, also after
    its links are followed, and to hold certificates and nothing else; what is returned is made of the
    parsed certificates, so that a comment stays here too. Raises `StackError` for any other file.
    """
    if spec.registry is None or spec.registry.ca_file is None:
        return None
    name = spec.registry.ca_file
    certificates = _certificates(name, _content(name, _inside(inventory_folder, name)))
    return base64.b64encode(b"".join(c.public_bytes(Encoding.PEM) for c in certificates)).decode()


def _inside(folder: Path, name: str) -> Path:
    windows = PureWindowsPath(name)  # knows both kinds of slash, and drives
    if PurePosixPath(name).is_absolute() or windows.anchor or ".." in windows.parts:
        raise _refusal(name, "it must be a path inside the inventory's folder, without `..`")
    try:
        path = (folder / name).resolve(strict=True)
        inside = path.is_relative_to(folder.resolve(strict=True))
    except (OSError, RuntimeError, ValueError) as error:  # missing, a loop of links, a NUL
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _refusal(name, f"it can't be read: {reason}") from None
    if not inside:
        raise _refusal(name, "it is a link that leads out of the inventory's folder")
    if not path.is_file():
        raise _refusal(name, "it is not a file")
    return path


def _content(name: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise _refusal(name, f"it can't be read: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise _refusal(name, "it is larger than 1 MiB")
    return content


def _certificates(name: str, content: bytes) -> list[x509.Certificate]:
    # The parser passes over blocks of other kinds, of which a private key would be the worst.
    labels = [label.decode("latin-1") for label in _LABEL.findall(content)]
    others = sorted({*labels} - {"CERTIFICATE"})
    if others:
        raise _refusal(name, f"it holds {', '.join(others)}; only certificates belong in it")
    try:
        certificates = x509.load_pem_x509_certificates(content)
    except (ValueError, x509.InvalidVersion):
        raise _refusal(name, "it holds no certificates in PEM") from None
    if len(certificates) != len(labels):  # the parser passes over a block without an end too
        raise _refusal(name, "a certificate in it is cut short")
    return certificates


def _refusal(name: str, why: str) -> StackError:
    return StackError(f"registry.caFile is {name!r}: {why}")
