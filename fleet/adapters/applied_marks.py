"""Which sites still are as a rollout left them.

The journal says what a rollout applied; `up`, `destroy` and `refresh` change sites outside of it. A mark is
written when a rollout has applied a site and taken away before anything else touches it. A site without
its mark is never skipped as unchanged.
"""

from dataclasses import dataclass
from pathlib import Path

from fleet.adapters.oci_layout import write_atomically


@dataclass(frozen=True)
class AppliedMarks:
    """A file a site in `folder`, holding the digest of what was applied."""

    folder: Path

    def put(self, site: str, digest: str) -> None:
        """Mark the site as applied."""
        write_atomically(self.folder / site, digest.encode())

    def take_away(self, site: str) -> None:
        """Forget the site, before something else changes it."""
        (self.folder / site).unlink(missing_ok=True)

    def holds(self, site: str, digest: str) -> bool:
        """Whether the site is as the rollout of `digest` left it."""
        try:
            return (self.folder / site).read_bytes() == digest.encode()
        except OSError:
            return False
