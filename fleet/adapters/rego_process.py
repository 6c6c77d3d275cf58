"""The engine in a process of its own.

rego-cpp and grpc, which Pulumi brings, can't live in one process: the second to start aborts it, for both
carry the same C++ libraries (seen with regopy 1.5.2 and grpcio on Linux). A process of its own also keeps a
fault of the engine from taking `fleet` with it, and gives a policy that never ends an end.
"""

import contextlib
import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from typing import IO, Any

from fleet.adapters.rego_engine import EXIT_MISSING, Failure, Interpreter, PolicyError
from fleet.app.policies import PolicyFile, Question
from fleet.diagnostics.diagnostic import Diagnostic, FleetError

PATIENCE_SECONDS = 120
"""For one question about one site, or the fleet; a policy takes milliseconds."""


class Engine:
    """The compiled policies; `give` an input, then `ask`.

    `used_keys` are the outermost keys of the input that they can look at, or None for all. Raises
    `PolicyError` for what does not compile and what is refused, `FleetError` (POL009) where there is no
    engine.
    """

    used_keys: frozenset[str] | None

    def __init__(
        self, files: tuple[PolicyFile, ...], questions: tuple[Question, ...], wrong: Sequence[Diagnostic] = ()
    ) -> None:
        self._arguments = files, questions
        if importlib.util.find_spec("regopy") is None:
            raise _missing("not installed")
        self._process = subprocess.Popen(  # noqa: S603 - this very interpreter, and no shell
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        weakref.finalize(self, _end, self._process)
        try:
            self.used_keys = self._request((files, questions, tuple(wrong)))
        except Failure as failure:
            raise _missing(str(failure)) from None

    def __reduce__(self) -> tuple[Any, ...]:
        """Compiled again in another process."""
        return type(self), self._arguments

    def give(self, document: str) -> None:
        """Set the input, as JSON. Raises `Failure` when the engine does not take it."""
        self._request(("give", document))

    def ask(self, question: Question) -> Any:
        """The set that a question is about, as a JSON-able value; None when it is not defined.

        Raises `Failure` when the engine can't evaluate it, takes too long, or ends.
        """
        return self._request(("ask", question))

    def _request(self, value: object) -> Any:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = threading.Timer(PATIENCE_SECONDS, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            pickle.dump(value, process.stdin)
            process.stdin.flush()
            kind, answer = pickle.load(process.stdout)  # noqa: S301 - our own process wrote it
        except (EOFError, OSError, pickle.UnpicklingError):
            process.kill()
            raise Failure(f"the engine has ended (exit code {process.wait()})") from None
        finally:
            watchdog.cancel()
        if kind == "wrong":
            raise PolicyError(answer)
        if kind == "failure":
            raise Failure(answer)
        return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()  # it holds nothing that could be lost
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):  # what nobody reads any more can't be flushed
                stream.close()


def _missing(why: str) -> FleetError:
    message = f"the inventory has policies in Rego, and what evaluates them does not run here: {why}"
    return FleetError("POL009", message, "pip install regopy", EXIT_MISSING)


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """The other process: answers until there is nobody left to ask."""

    def answer(kind: str, value: object) -> None:
        pickle.dump((kind, value), answers)
        answers.flush()

    def request() -> Any:
        return pickle.load(requests)  # noqa: S301 - the process that started this one wrote it

    try:
        interpreter = Interpreter(*request())
    except PolicyError as error:
        answer("wrong", error.diagnostics)
        return
    except ImportError as error:
        answer("failure", str(error))
        return
    answer("ready", interpreter.used_keys)
    while True:
        try:
            verb, value = request()
        except EOFError:
            return
        try:
            if verb == "give":
                interpreter.give(value)
                answer("given", None)
            else:
                answer("answer", interpreter.ask(value))
        except Failure as failure:
            answer("failure", str(failure))


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for fleet to act on
    # The engine prints at times; what it says must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    _main()
