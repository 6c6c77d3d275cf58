"""A throw-away certificate authority and server certificate for the sandbox's own servers.

TLS is never switched off in this project, so a stand-in on a laptop has a certificate too, and its
clients are handed the CA file that verifies it. The CA's private key never reaches the disk: it
signs one server certificate and is forgotten. It may only sign for the names it was made for (name
constraints), so that a CA file left in somebody's trust store can impersonate nothing else.
"""

import datetime as dt
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

# Browsers and Apple's TLS stack refuse server certificates that are valid for longer than this.
LIFETIME = dt.timedelta(days=397)
_RENEW_BEFORE = dt.timedelta(days=7)


@dataclass(frozen=True, slots=True)
class ServerTls:
    """Files of one server: `ca_file` goes to clients; `cert_file` and `key_file` (0600) stay with it."""

    ca_file: Path
    cert_file: Path
    key_file: Path


def ensure_server_tls(
    directory: Path,
    *,
    names: Sequence[str] = ("localhost",),
    addresses: Sequence[str] = ("127.0.0.1",),
    now: dt.datetime | None = None,
) -> ServerTls:
    """The TLS files in `directory` (`ca.pem`, `server.pem`, `server.key`), made anew where needed.

    Files from an earlier start are kept while they cover the same names and are valid for another
    week: a restarted sandbox keeps the CA that its clients already hold.
    """
    directory.mkdir(parents=True, exist_ok=True)
    files = ServerTls(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    moment = now or dt.datetime.now(dt.UTC)
    if not _still_good(files, names, addresses, moment):
        _write_new(files, names, addresses, moment)
    return files


def _still_good(files: ServerTls, names: Sequence[str], addresses: Sequence[str], now: dt.datetime) -> bool:
    from cryptography import x509

    if not all(path.is_file() for path in (files.ca_file, files.cert_file, files.key_file)):
        return False
    try:
        certificate = x509.load_pem_x509_certificate(files.cert_file.read_bytes())
        present = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(files.ca_file.read_bytes()))
    except Exception:  # whatever is wrong with old throw-away files, the answer is new ones
        return False
    wanted = set(_alternative_names(names, addresses))
    return set(present) == wanted and certificate.not_valid_after_utc - now > _RENEW_BEFORE


def _alternative_names(names: Sequence[str], addresses: Sequence[str]) -> list["x509.GeneralName"]:
    from cryptography import x509

    return [
        *(x509.DNSName(name) for name in names),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
    ]


def _write_new(files: ServerTls, names: Sequence[str], addresses: Sequence[str], now: dt.datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def subject(common_name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])

    def usage(*, signs_certificates: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=not signs_certificates,
            key_cert_sign=signs_certificates,
            crl_sign=signs_certificates,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )

    ca_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    start, end = now - dt.timedelta(minutes=5), now + LIFETIME
    ca_name = subject("fleet sandbox throw-away CA")
    ca_identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    permitted: list[x509.GeneralName] = [
        *(x509.DNSName(name) for name in names),
        *(x509.IPAddress(ipaddress.ip_network(address)) for address in addresses),
    ]
    ca = (
        x509.CertificateBuilder(
            ca_name, ca_name, ca_key.public_key(), x509.random_serial_number(), start, end
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(ca_identifier, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    server = (
        x509.CertificateBuilder(
            ca_name,
            subject(names[0] if names else addresses[0]),
            key.public_key(),
            x509.random_serial_number(),
            start,
            end,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_alternative_names(names, addresses)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_identifier), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    write_private(
        files.key_file,
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    files.cert_file.write_bytes(server.public_bytes(pem))
    files.ca_file.write_bytes(ca.public_bytes(pem))


def write_private(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that it is never readable by another user, not even for a moment."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
