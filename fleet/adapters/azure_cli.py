"""A token for Azure Resource Manager from the Azure CLI, which holds the sign-in of its user.

Not tested against Azure itself. The token stays in memory: it is in no argument, file, log or message.
"""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from fleet.adapters.arm_advice import advice_about_sign_in
from fleet.diagnostics.diagnostic import FleetError

ENDPOINT = "https://management.azure.com"
"""Azure's public cloud."""
_EXIT_MISSING = 11
_EARLY = 300.0
"""Seconds before its end that a token is renewed."""
_TIMEOUT = 60.0

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)  # noqa: S603


class AzureCliToken:
    """Asks `az account get-access-token`, and again when the token ends. Safe to share between threads.

    `subscription` (a GUID) chooses the tenant. Calling it raises `FleetError` (IMP004) where the CLI is not
    there, nobody is signed in, or its answer is no token.
    """

    def __init__(
        self,
        subscription: str,
        *,
        run: Run = _run,
        which: Callable[[str], str | None] = shutil.which,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._subscription, self._run, self._which, self._clock = subscription, run, which, clock
        self._lock = threading.Lock()
        self._token, self._ends = "", 0.0

    def __call__(self) -> str:
        """The token."""
        with self._lock:
            if self._clock() >= self._ends - _EARLY:
                self._token, self._ends = self._asked()
            return self._token

    def _asked(self) -> tuple[str, float]:
        tool = self._which("az")
        if tool is None:
            help_text = "install the Azure CLI and sign in with `az login`; --engine local reads the sandbox"
            raise FleetError("IMP004", "the Azure CLI (az) is not there", help_text, _EXIT_MISSING)
        command = [tool, "account", "get-access-token", "--subscription", self._subscription]
        command += ["--resource", f"{ENDPOINT}/", "--output", "json"]
        try:
            answer = self._run(command)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _no_token(type(error).__name__) from None
        if answer.returncode != 0:
            raise _no_token((answer.stderr.strip().splitlines() or ["without a word"])[0][:300])
        try:
            # Its text is never shown: the token is in it.
            data = json.loads(answer.stdout)
            token, ends = data["accessToken"], float(data["expires_on"])
        except (ValueError, KeyError, TypeError):
            raise _no_token("its answer is not understood; version 2.54 or later is needed") from None
        if not isinstance(token, str) or not token:
            raise _no_token("its answer holds no token")
        return token, ends


def _no_token(why: str) -> FleetError:
    known = advice_about_sign_in(why)
    message = f"the Azure CLI gave no token: {f'{known.what} ({why})' if known else why}"
    return FleetError("IMP004", message, known.do if known else "az login", _EXIT_MISSING)
