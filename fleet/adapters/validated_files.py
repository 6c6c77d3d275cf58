"""The files that were validated, by digests of what was read: rendering takes the same bytes or none."""

import hashlib

from fleet.adapters.inventory_files import SiteFileOnDisk
from fleet.adapters.validation_cache import ValidationCache


def content_digest(content: bytes) -> str:
    """As a validation cache knows a file's content by."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


class ValidatedFiles(ValidationCache):
    """A validation cache that tells the digests it has: a file that did not change need not be read."""

    def digest(self, file: SiteFileOnDisk) -> str | None:
        """Of what was validated in this run; None where nothing was kept of it. To be asked before `save`."""
        entry = self._new.get(file.key)
        if entry is None and file.key in self._kept:
            entry = self._known[file.key]
        return str(entry[2]) if entry is not None else None
