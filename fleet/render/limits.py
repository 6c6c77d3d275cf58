"""What no cluster takes, found before one is asked: wrong names, two objects that are one, too large ones."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

import yaml

from fleet.diagnostics.diagnostic import FleetError

MAX_CONFIG_BYTES = 1024 * 1024
"""A ConfigMap's or Secret's data (Kubernetes' ValidateConfigMap and ValidateSecret: MaxSecretSize, 1 MiB;
from memory)."""
MAX_OBJECT_BYTES = 1536 * 1024
"""An object: etcd's limit on a request (`--max-request-bytes`, 1.5 MiB by default; from memory)."""
_LOOKED_AT = MAX_CONFIG_BYTES // 2
"""Smaller files hold nothing that is over a limit, and are not parsed: escapes at most double a text."""

_DOCUMENT = re.compile(r"^---$", re.MULTILINE)
_KIND = re.compile(r"^kind: \"?([A-Za-z]+)", re.MULTILINE)
_GROUP = re.compile(r"^apiVersion: \"?([^/\"\n]+)/", re.MULTILINE)
_NAME = re.compile(r"^metadata:\n(?:  .*\n| *#.*\n)*?  name: (.+)$", re.MULTILINE)
_NAMESPACE = re.compile(r"^metadata:\n(?:  .*\n| *#.*\n)*?  namespace: (.+)$", re.MULTILINE)
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")
_LABELS = frozenset({"Namespace", "Service"})
"""Kinds whose names are DNS labels of 63 characters; others are subdomains of 253."""
_FREE = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "APIService"})
"""Kinds whose names may hold what no DNS name does (`system:node`)."""


class RefusedError(FleetError):
    """A tree that a cluster would refuse. `values` are texts of the refused thing, in which a value of the
    inventory that is to blame can be found."""

    def __init__(self, code: str, message: str, help_text: str, values: Sequence[str]) -> None:
        super().__init__(code, message, help_text)
        self.values = values


def check_files(site: str, files: Mapping[str, str]) -> None:
    """Refuse a tree that a cluster would refuse.

    Raises `RefusedError`: TPL002 an object that is there twice (two parts of the tree would undo each other's
    work without end), TPL004 a name that Kubernetes does not take, TPL005 an object that is too large, TPL006
    text that can't be stored as UTF-8.
    """
    seen: set[tuple[str, str, str, str]] = set()
    for path, text in files.items():
        if not text.isascii():
            _check_encoding(site, path, text)
        for found in _objects(text):
            _, kind, _, name = found
            if found in seen:
                raise RefusedError(
                    "TPL002", f"{site}: {path}: two things would be the {kind} {name}", "rename one", (name,)
                )
            seen.add(found)
            why = _wrong_name(kind, name)
            if why is not None:
                raise RefusedError(
                    "TPL004",
                    f"{site}: {path}: {name[:80]!r} can't be the name of a {kind}: {why}",
                    "names of objects are made of names in the inventory: shorten or rename the one in it",
                    (name,),
                )
        if len(text) > _LOOKED_AT:
            _check_size(site, path, text)


def _objects(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Group, kind, namespace and name of each object, as our templates write them: in block YAML."""
    for document in _DOCUMENT.split(text) if "\n---\n" in text else (text,):
        kind, name = _KIND.search(document), _NAME.search(document)
        if kind is not None and name is not None:
            group, namespace = _GROUP.search(document), _NAMESPACE.search(document)
            yield (
                group[1] if group else "",
                kind[1],
                _written(namespace[1]) if namespace else "",
                _written(name[1]),
            )


def _written(scalar: str) -> str:
    scalar = scalar.strip()
    return str(json.loads(scalar)) if scalar.startswith('"') else scalar


def _wrong_name(kind: str, name: str) -> str | None:
    if kind in _FREE:
        return None
    longest = 63 if kind in _LABELS else 253
    if len(name) > longest:
        return f"it has {len(name)} characters, and {longest} is the most"
    form = _LABEL if kind in _LABELS else _SUBDOMAIN
    if form.fullmatch(name) is None:
        return "it is not of lower-case letters, digits and dashes between them"
    return None


def _check_encoding(site: str, path: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise RefusedError(
            "TPL006",
            f"{site}: {path}:{line} holds U+{ord(text[error.start]):04X}, half of a character",
            "write the whole character in the inventory, not its halves as escapes",
            (text[error.start],),
        ) from None


def _check_size(site: str, path: str, text: str) -> None:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for value in yaml.load_all(text, Loader=loader):
        if not isinstance(value, dict):
            continue
        size, limit = (
            len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()),
            MAX_OBJECT_BYTES,
        )
        if value.get("kind") in ("ConfigMap", "Secret"):
            parts = [value.get(key) or {} for key in ("data", "binaryData", "stringData")]
            pairs = [pair for part in parts for pair in part.items()]
            size, limit = sum(len(f"{key}{item}".encode()) for key, item in pairs), MAX_CONFIG_BYTES
        if size > limit:
            raise RefusedError(
                "TPL005",
                f"{site}: {path}: {value.get('kind')} {value.get('metadata', {}).get('name')} has {size:,} "
                f"bytes, and Kubernetes takes {limit:,}",
                "keep large data in an image, a volume or the model cache, and its address here",
                (text,),
            )
