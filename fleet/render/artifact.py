"""The OCI artifact of a tree, as Flux's source-controller pulls it, byte for byte reproducible.

Media types by Flux's own (`flux push artifact`): a config and one tar+gzip layer. The gzip stream is
stored, not compressed: compressors differ between zlib versions, and a digest must not.
"""

import hashlib
import io
import json
import struct
import tarfile
import zlib
from dataclasses import dataclass

from fleet.model.site import SiteSpec
from fleet.render.tree import RenderedTree

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.flux.config.v1+json"
LAYER_TYPE = "application/vnd.cncf.flux.content.v1.tar+gzip"


@dataclass(frozen=True)
class Artifact:
    """An OCI artifact: the manifest's bytes and digest, and its blobs by digest."""

    manifest: bytes
    digest: str
    blobs: dict[str, bytes]


def artifact_url(spec: SiteSpec) -> str:
    """Where the site's Flux pulls its manifests: `oci://host/repository/site`, from the site's own registry
    where it has one."""
    host = spec.registry.host if spec.registry else spec.delivery.registry
    return f"oci://{host}/{spec.delivery.repository}/{spec.name}"


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _tar(tree: RenderedTree) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, text in tree.files.items():
            data = text.encode()
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(data), 0o644
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _stored_gzip(data: bytes) -> bytes:
    """`data` as a gzip stream (RFC 1952) of stored blocks (RFC 1951 3.2.4), without time or name."""
    out = io.BytesIO()
    out.write(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")
    blocks = [data[i : i + 65535] for i in range(0, len(data), 65535)] or [b""]
    for number, block in enumerate(blocks):
        out.write(struct.pack("<BHH", number == len(blocks) - 1, len(block), len(block) ^ 0xFFFF))
        out.write(block)
    out.write(struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF))
    return out.getvalue()


def tree_artifact(tree: RenderedTree) -> Artifact:
    """The artifact of `tree`. Equal trees give equal digests on every machine."""
    layer, config = _stored_gzip(_tar(tree)), b"{}"
    blobs = {_digest(layer): layer, _digest(config): config}
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": _digest(config), "size": len(config)},
            "layers": [{"mediaType": LAYER_TYPE, "digest": _digest(layer), "size": len(layer)}],
            "annotations": {"org.opencontainers.image.title": f"{tree.site} manifests"},
        },
        sort_keys=True,
        separators=(",", ":"),
    ).encode()
    return Artifact(manifest, _digest(manifest), blobs)
