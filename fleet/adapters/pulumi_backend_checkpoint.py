"""A stack's checkpoint as Pulumi's backends keep it: from its bytes to what a plan needs.

`UnmarshalVersionedCheckpointToLatestCheckpoint` in pkg/resource/stack/checkpoint.go, the types in
sdk/go/common/apitype/core.go and `DetectCompression` in sdk/go/common/encoding/marshal.go of pulumi/pulumi.
"""

import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from gzip import BadGzipFile, GzipFile
from typing import Any, Final

from fleet.adapters.pulumi_backend_blobs import MAX_BYTES
from fleet.engine.local.checkpoint import DEPLOYMENT_VERSION, Deployment
from fleet.engine.local.diff import format_path
from fleet.engine.local.integrity import flaw
from fleet.engine.local.values import SECRET_SIGNATURE, SIGNATURE_KEY
from fleet.ports.engine import StackRef, StateUnreadable
from fleet.ports.state import RecordedStack, StackLock

_GZIP, _ZSTD = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"
_READ_FEATURES: Final = frozenset({"taint", "refreshBeforeUpdate"})
"""Features of version 4 (pkg/resource/stack/deployment.go) with which a state reads as before: what is
tainted is said beside the plan, and that no resource is looked at is said of every plan. The others change
what a resource or a value is."""
_PROVIDER_KEYS: Final = frozenset({"version", "pluginDownloadURL", "__internal"})
"""What the Pulumi engine notes of a provider's plugin among its inputs, and no program says
(pkg/resource/deploy/providers/registry.go)."""
_IN_CLUSTER: Final = ("kubernetes:", "pulumi:providers:kubernetes", "fleet:kubernetes:")
"""How the types begin of what is inside of a site's cluster (stacks/in_cluster.py)."""
_MEND: Final = "pulumi stack export shows what Pulumi makes of it; its backups are below .pulumi/backups"


def recorded_stack(
    stack: StackRef, place: str, data: bytes, locks: tuple[StackLock, ...] = (), note: str = ""
) -> RecordedStack:
    """What a checkpoint, or the output of `pulumi stack export`, has of a stack.

    Raises `StateUnreadable` for one that is cut, of another version, or of another stack.
    """
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    deployment = _latest(place, _json(place, data))
    provider = deployment.get("secrets_providers")
    kind = str((provider or {}).get("type") or "") if isinstance(provider, dict) else ""
    if kind != "passphrase":
        # The local engine knows only that one; secrets of another stay sealed (`UnopenedSecrets`).
        deployment = {key: value for key, value in deployment.items() if key != "secrets_providers"}
    document = {"version": DEPLOYMENT_VERSION, "deployment": deployment}
    resources = deployment.get("resources") or []
    if not isinstance(resources, list) or not all(isinstance(item, dict) for item in resources):
        raise StateUnreadable(place, "its resources are no list of objects", _MEND)
    standing = [item for item in resources if not item.get("delete")]
    recorded = RecordedStack(
        stack,
        place,
        document,
        digest,
        locks,
        kind,
        tuple(f"{_name(item)}: {path}" for item in standing for path in _sealed((), item.get("inputs"))),
        tuple(_name(item) for item in standing if item.get("taint")),
        sum(is_in_cluster(str(item.get("urn"))) for item in standing),
        note,
    )
    deployment_of(recorded)
    return recorded


def deployment_of(recorded: RecordedStack) -> Deployment:
    """The stack's resources for the local engine. Raises `StateUnreadable`."""
    try:
        deployment = Deployment.from_json(recorded.document)
        wrong = flaw(deployment.resources)
    except (ValueError, TypeError, RecursionError) as error:  # of the last two: what no engine has written
        raise StateUnreadable(recorded.place, str(error), _MEND) from None
    own = f"urn:pulumi:{recorded.stack.name}::{recorded.stack.project}::"
    for state in (*deployment.resources, *(operation.resource for operation in deployment.pending)):
        if not state.urn.startswith(own):
            raise StateUnreadable(
                recorded.place,
                f"it is of another stack: it has {state.urn}, and its own begin with {own}",
                _MEND,
            )
        if state.is_provider and not state.name.startswith("default"):
            for bag in (state.inputs, state.outputs):
                for key in _PROVIDER_KEYS & bag.keys():
                    del bag[key]
    if wrong is not None:
        raise StateUnreadable(recorded.place, wrong, _MEND)
    return deployment


def is_in_cluster(urn: str) -> bool:
    """Whether a resource is inside of the site's cluster, or its provider: the types in its URN say it."""
    chain = urn.split("::")[2] if urn.count("::") > 2 else ""
    return any(type_.startswith(_IN_CLUSTER) for type_ in chain.split("$"))


def _json(place: str, data: bytes) -> Any:
    """The document in a file, whatever the end of its name says about compression, as Pulumi looks at it."""
    if data.startswith(_ZSTD):
        raise StateUnreadable(
            place, "it is compressed with zstd, which this fleet can't read", "read it with --state cli"
        )
    try:
        if data.startswith(_GZIP):
            data = GzipFile(fileobj=io.BytesIO(data)).read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise StateUnreadable(place, f"it is larger than {MAX_BYTES >> 20} MiB", _MEND)
        return json.loads(data)
    except (EOFError, BadGzipFile, zlib.error) as error:
        raise StateUnreadable(place, f"it is not a whole gzip file ({error})", _MEND) from None
    except (ValueError, RecursionError) as error:
        raise StateUnreadable(place, f"it is not whole JSON ({error})", _MEND) from None


def _latest(place: str, document: Any) -> dict[str, Any]:
    """The deployment in a checkpoint (`checkpoint.latest`) or in an export (`deployment`).

    A stack that was made and never brought up has none yet, and is empty.
    """
    if not isinstance(document, dict):
        raise StateUnreadable(place, "it is not a Pulumi checkpoint", _MEND)
    version = document.get("version")
    if version not in (DEPLOYMENT_VERSION, 4) or isinstance(version, bool):
        why = f"its version is {version!r}, and only 3 and 4 are known"
        raise StateUnreadable(
            place, why, "pulumi up with a recent CLI writes version 3; or a newer fleet reads it"
        )
    features = document.get("features") or []
    if not isinstance(features, list):
        raise StateUnreadable(place, "its features are no list", _MEND)
    unread = sorted({str(name) for name in features} - _READ_FEATURES) if version == 4 else []
    if unread:
        why = f"it uses what this fleet does not know: {', '.join(unread)}"
        raise StateUnreadable(place, why, "pulumi preview says what would change there")
    checkpoint = document.get("checkpoint")
    latest = checkpoint.get("latest") if isinstance(checkpoint, dict) else document.get("deployment")
    if latest is None and ("checkpoint" in document or "deployment" in document):
        return {}
    if not isinstance(latest, dict):
        raise StateUnreadable(place, "it is not a Pulumi checkpoint", _MEND)
    return latest


def _name(resource: Mapping[str, Any]) -> str:
    return str(resource.get("urn", "")).rsplit("::", 1)[-1]


def _sealed(path: tuple[str | int, ...], value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get(SIGNATURE_KEY) == SECRET_SIGNATURE:
            yield format_path(path)
            return
        for key, item in value.items():
            yield from _sealed((*path, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _sealed((*path, index), item)
