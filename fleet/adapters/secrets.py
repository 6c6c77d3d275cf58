"""Secrets from the machine that runs `fleet`: its environment, or files only their owner may read."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from fleet.diagnostics.diagnostic import FleetError
from fleet.model.secrets import HostSecretRef

EXIT_CREDENTIAL = 11


@dataclass(frozen=True)
class HostSecrets:
    """Resolves references on this machine. Values are never logged; errors name the reference only."""

    base: Path
    """Folder that relative file names start from: the inventory's."""

    def resolve(self, ref: HostSecretRef) -> str:
        """The secret. Raises `FleetError` (SEC010) when it is missing, empty or open to others."""
        if ref.env is not None:
            value = os.environ.get(ref.env, "")
            if not value:
                raise _missing(
                    f"the environment has no {ref.env}", f"set {ref.env}: the inventory refers to it"
                )
            return value
        path = self.base / (ref.file or "")
        try:
            mode = path.stat().st_mode
            value = path.read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise _missing(f"the secret file {path} can't be read: {error}", "check the path") from error
        if mode & (stat.S_IRGRP | stat.S_IROTH):
            raise _missing(f"others may read the secret file {path}", f"chmod 600 {path}")
        if not value:
            raise _missing(f"the secret file {path} is empty", "write the secret into it")
        return value


def _missing(message: str, help_text: str) -> FleetError:
    return FleetError("SEC010", message, help_text, EXIT_CREDENTIAL)
