"""A kubeconfig: which API server, how it proves itself, and how we do.

Only what needs no other program is taken: a certificate or a token. What a kubeconfig may say besides
(plugins that log in, TLS that is not verified, proxies) is refused by name.
"""

import base64
import binascii
import contextlib
import re
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml


class KubeconfigError(ValueError):
    """A kubeconfig that can't be used. The message says what to change and holds nothing of its secrets."""


@dataclass(frozen=True)
class ClusterAccess:
    """One cluster as one user. `ca`, `certificate` and `key` are PEM; what is secret is not in the repr."""

    server: str
    """`https://host:port`, without a slash at the end."""
    ca: str | None = field(default=None, repr=False)
    """The authority that signed the server's certificate; the system's where None."""
    server_name: str | None = None
    """The name that the server's certificate is checked for, where it is not the host."""
    certificate: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    namespace: str = "default"
    """Of namespaced objects that name none."""


def read_kubeconfig(text: str, context: str | None = None) -> ClusterAccess:
    """The access that a kubeconfig's current context (or `context`) describes.

    `text` is its content; files that it names must be absolute paths. Raises `KubeconfigError`.
    """
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        raise KubeconfigError("it is not YAML") from None  # the error would quote it
    if not isinstance(config, dict) or config.get("kind") != "Config":
        raise KubeconfigError("it is not the content of a kubeconfig (kind: Config)")
    name = context or config.get("current-context")
    if not name:
        raise KubeconfigError("it has no current-context")
    chosen = _named(config, "contexts", "context", name)
    cluster = _named(config, "clusters", "cluster", chosen.get("cluster"))
    user = _named(config, "users", "user", chosen.get("user"))
    server = _server(cluster)
    for present, what in (
        (cluster.get("insecure-skip-tls-verify"), "insecure-skip-tls-verify: TLS is always verified here"),
        (cluster.get("proxy-url"), "a proxy-url, which is not supported"),
        (user.get("exec") or user.get("auth-provider"), "a log-in plugin; give a certificate or a token"),
        (user.get("username") or user.get("password"), "a password; give a certificate or a token"),
        (user.get("as"), "impersonation, which is not supported"),
    ):
        if present:
            raise KubeconfigError(f"it asks for {what}")
    certificate, key = _pem(user, "client-certificate"), _pem(user, "client-key")
    if (certificate is None) is not (key is None):
        raise KubeconfigError("a client certificate and its key come together")
    token = user.get("token") or (_file(user["tokenFile"]).strip() if user.get("tokenFile") else None)
    token = str(token).strip() if token else None
    if token is not None and re.fullmatch(r"[!-~]+", token) is None:
        # It would be refused as a header later, by an error that quotes it.
        raise KubeconfigError("its user's token has a space, a line break or another character that none has")
    if certificate is None and not token:
        raise KubeconfigError("its user has neither a client certificate nor a token")
    return ClusterAccess(
        server=server,
        ca=_pem(cluster, "certificate-authority"),
        server_name=cluster.get("tls-server-name"),
        certificate=certificate,
        key=key,
        token=token,
        namespace=chosen.get("namespace") or "default",
    )


def tls_context(access: ClusterAccess) -> ssl.SSLContext:
    """A context that verifies the server and holds the client's certificate. Raises `KubeconfigError`."""
    try:
        context = ssl.create_default_context(cadata=access.ca)
    except (ssl.SSLError, ValueError):
        raise KubeconfigError("its certificate-authority is no certificate in PEM") from None
    if access.certificate is not None and access.key is not None:
        # Python's ssl reads a key from a file only; it lies there, readable by us alone, for a moment.
        with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
            pair = Path(folder) / "client.pem"
            pair.touch(mode=0o600)
            pair.write_text(f"{access.certificate}\n{access.key}\n", encoding="utf-8")
            try:
                context.load_cert_chain(pair)
            except (ssl.SSLError, ValueError):
                raise KubeconfigError("its client certificate and key are not a pair in PEM") from None
    return context


def _named(config: Mapping[str, Any], section: str, key: str, name: Any) -> Mapping[str, Any]:
    for row in config.get(section) or ():
        if isinstance(row, dict) and row.get("name") == name and isinstance(row.get(key), dict):
            found: Mapping[str, Any] = row[key]
            return found
    raise KubeconfigError(f"{name!r} is not among its {section}")


def _server(cluster: Mapping[str, Any]) -> str:
    server = str(cluster.get("server") or "")
    try:
        parts, _ = urlsplit(server), urlsplit(server).port
    except ValueError:
        raise KubeconfigError("its server is not https://host:port") from None
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.query:
        raise KubeconfigError("its server is not https://host:port")
    return server.rstrip("/")


def _pem(row: Mapping[str, Any], key: str) -> str | None:
    if data := row.get(f"{key}-data"):
        with contextlib.suppress(binascii.Error, UnicodeDecodeError, TypeError, ValueError):
            return base64.b64decode(data, validate=True).decode()
        raise KubeconfigError(f"{key}-data is not base64 of text")
    return _file(row[key]) if row.get(key) else None


def _file(name: Any) -> str:
    path = Path(str(name))
    if not path.is_absolute():
        raise KubeconfigError(
            f"{str(name)!r} is not an absolute path; embed it: kubectl config view --flatten"
        )
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise KubeconfigError(f"{path} can't be read: {reason}") from None
