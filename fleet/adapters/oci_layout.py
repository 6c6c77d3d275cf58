"""Artifacts as OCI image layouts on disk: what `skopeo` and `crane` push, digests and all."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.render.artifact import MANIFEST_TYPE, Artifact


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file so that a reader, or a kill, never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_layout(folder: Path, artifact: Artifact) -> None:
    """Write `artifact` as an OCI image layout (image-spec 1.1, image-layout.md) into `folder`."""
    blobs = folder / "blobs" / "sha256"
    for digest, data in {**artifact.blobs, artifact.digest: artifact.manifest}.items():
        target = blobs / digest.removeprefix("sha256:")
        if not target.exists() or target.read_bytes() != data:  # a damaged blob is written again
            write_atomically(target, data)
    write_atomically(folder / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    entry = {"mediaType": MANIFEST_TYPE, "digest": artifact.digest, "size": len(artifact.manifest)}
    index = {"schemaVersion": 2, "manifests": [entry]}
    write_atomically(folder / "index.json", json.dumps(index).encode())  # last: it makes the others count


@dataclass(frozen=True)
class LayoutStore:
    """A folder that stands in for registries: a layout for each repository.

    It is the sandbox's registry. Pushing to a real one is not built yet: `skopeo copy oci:DIR docker://…`
    pushes a layout with its digest.
    """

    root: Path

    def folder(self, url: str) -> Path:
        """The layout of a repository. Raises ValueError when `url` is none."""
        host, _, repository = url.removeprefix("oci://").partition("/")
        parts = [host.replace(":", "_"), *repository.split("/")]
        if any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"{url!r} is not the URL of a repository")
        return self.root.joinpath(*parts)

    def publish(self, url: str, artifact: Artifact, files: Mapping[str, str]) -> bool:
        """Store the artifact; False when it was there already."""
        folder = self.folder(url)
        new = not self.exists(url, artifact.digest)
        if new:
            write_layout(folder, artifact)
        if self.published_files(url) != files:  # also after a kill between the two
            write_atomically(folder / "files.json", json.dumps(dict(files), sort_keys=True).encode())
        return new

    def published_files(self, url: str) -> Mapping[str, str]:
        """Path to digest of what was published last."""
        path = self.folder(url) / "files.json"
        if not path.exists():
            return {}
        files = json.loads(path.read_bytes())
        return {str(key): str(value) for key, value in files.items()}

    def exists(self, url: str, digest: str) -> bool:
        """Whether the repository's index names `digest`, and every blob of it is there and whole."""
        folder = self.folder(url)
        try:
            index = json.loads((folder / "index.json").read_bytes())
            if digest not in {entry["digest"] for entry in index["manifests"]}:
                return False
            manifest = json.loads(_verified_blob(folder, digest))
            for part in (manifest["config"], *manifest["layers"]):
                _verified_blob(folder, part["digest"])
        except (OSError, ValueError, KeyError):
            return False
        return True


def _verified_blob(folder: Path, digest: str) -> bytes:
    """A blob of a layout. Raises ValueError when its content is not what the digest says."""
    data = (folder / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()
    if hashlib.sha256(data).hexdigest() != digest.removeprefix("sha256:"):
        raise ValueError(f"{digest} is damaged")
    return data
