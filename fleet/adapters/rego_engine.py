"""rego-cpp behind two verbs, `give` an input and `ask` for a set; what policies may call is decided here.

It is decided on the engine's own compiled plan, before anything runs: rego-cpp has `opa.runtime` (which
gives the environment away), `time.now_ns`, `rand.intn` and others that would make a finding depend on more
than the inventory; and a function that it lacks is quietly undefined, so that the policy that needs it
would never fire.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fleet.app.policies import PolicyFile, Question
from fleet.diagnostics.diagnostic import Diagnostic, FleetError

EXIT_POLICY = 4
EXIT_MISSING = 11

UNREADABLE, REFUSED = "POL001", "POL004"

# What OPA's capabilities call nondeterministic, with the functions that sign and with its own debugging.
_REFUSED = frozenset(
    {
        "http.send", "io.jwt.decode_verify", "io.jwt.encode_sign", "io.jwt.encode_sign_raw",
        "net.lookup_ip_addr", "opa.runtime", "rand.intn", "time.now_ns", "trace", "uuid.rfc4122",
    }
)  # fmt: skip
# Functions with a dot are known by their first part, so that a later engine's new ones are refused too.
_NAMESPACES = frozenset(
    {
        "array", "base64", "base64url", "bits", "crypto", "glob", "graph", "graphql", "hex", "internal",
        "json", "net", "numbers", "object", "regex", "semver", "strings", "time", "units", "urlquery", "uuid",
        "yaml",
    }
)  # fmt: skip


class PolicyError(FleetError):
    """Policies that can't be used. `diagnostics` has every reason, each at its line of a `.rego` file."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(diagnostics, key=lambda d: d.sort_key))
        first = self.diagnostics[0]
        more = f" (and {len(self.diagnostics) - 1} more)" if len(self.diagnostics) > 1 else ""
        message = f"{first.span.path}:{first.span.line}: {first.message}{more}"
        super().__init__(first.code, message, first.help or "mend the policy", EXIT_POLICY)


class Failure(Exception):  # noqa: N818 - not an error of the program: it becomes a finding
    """The engine gave no answer to a question."""


class Interpreter:
    """The compiled policies, in this process. Raises `PolicyError` for what does not compile or is refused.

    Raises ImportError where the engine can't be loaded. Only `fleet.adapters.rego_process` makes one, where
    it is alone.

    `used_keys` are the outermost keys of the input that they can look at, or None for all.
    """

    def __init__(
        self, files: tuple[PolicyFile, ...], questions: tuple[Question, ...], wrong: Sequence[Diagnostic] = ()
    ) -> None:
        import regopy as rego  # type: ignore[import-untyped]

        self._error: type[Exception] = rego.RegoError
        self._rego = rego.Interpreter()
        self._rego.log_level = rego.LogLevel.NONE  # it would print to stdout, between our own output
        # A function that fails makes its policy fail. Otherwise it would be undefined: a check that is off.
        self._rego.strict_built_in_errors = True
        self.used_keys: frozenset[str] | None = None
        found = list(wrong)
        unparsed = False
        for number, file in enumerate(files):
            try:
                # Named by number: the engine uses the name as a file name below.
                self._rego.add_module(f"{number}.rego", file.text)
            except self._error as error:
                unparsed = True
                found.append(_located(str(error), files, file))
        if not unparsed and questions:
            try:
                self._bundle = self._rego.build(None, [q.entrypoint for q in questions])
                plan = self._plan()
                self.used_keys = _used_keys(plan)
                found += _refused(plan, files, self._rego.is_builtin)
            except self._error as error:
                found.append(_located(str(error), files, files[0]))
        if found:
            raise PolicyError(found)

    def _plan(self) -> Mapping[str, Any]:
        """The compiled plan as the engine itself saves it (OPA's intermediate representation)."""
        with tempfile.TemporaryDirectory(prefix="fleet-rego-") as folder:
            target = Path(folder) / "bundle"
            self._rego.save_bundle(str(target), self._bundle)
            plan: Mapping[str, Any] = json.loads((target / "plan.json").read_bytes())
            return plan

    def give(self, document: str) -> None:
        """Set the input, as JSON: `set_input` would not escape what the engine prints again.

        Raises `Failure` when the engine does not take it.
        """
        try:
            self._rego.set_input_term(document)
        except self._error as error:
            raise Failure(_message(str(error)) or "the engine does not take its input") from None

    def ask(self, question: Question) -> Any:
        """The set that a question is about, as a JSON-able value; None when it is not defined.

        Raises `Failure` when the engine can't evaluate it.
        """
        try:
            output = self._rego.query_bundle_entrypoint(self._bundle, question.entrypoint)
        except json.JSONDecodeError as error:  # regopy found words where it expected JSON: the engine's error
            raise Failure(_message(error.doc) or "its result is no text that can be read") from None
        except self._error as error:
            raise Failure(_message(str(error)) or "the engine gives no reason") from None
        if not output.ok():
            raise Failure("a function was given what it can't use, or a rule has two values")
        expressions = output[0].expressions if len(output) else []
        return expressions[0] if expressions else None


_ERROR = re.compile(r"\(error [0-9]+:([0-9]+)\.rego\|([0-9]+)\|[0-9]+\s*\(errormsg ([0-9]+):")
_MESSAGE = re.compile(r"\(errormsg ([0-9]+):")


def _message(text: str) -> str | None:
    """The first message in the engine's own notation: `(errormsg LENGTH:TEXT)`."""
    match = _MESSAGE.search(text)
    return (
        " ".join(text[match.end() :].encode()[: int(match[1])].decode(errors="replace").split())
        if match
        else None
    )


def _located(text: str, files: Sequence[PolicyFile], file: PolicyFile) -> Diagnostic:
    """The engine's error at its place: it counts bytes from the start of the numbered file."""
    match = _ERROR.search(text)
    message = _message(text) or "it is not Rego that the engine can read"
    line, column = 1, 1
    if match is not None and int(match[1]) < len(files):
        file = files[int(match[1])]
        before = file.text.encode()[: int(match[2])].decode(errors="replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    message = f"the policy can't be compiled: {message[0].lower()}{message[1:]}"
    return file.diagnostic(UNREADABLE, message, line, "opa check FILE says more", column)


def _refused(
    plan: Mapping[str, Any], files: Sequence[PolicyFile], available: Callable[[str], bool]
) -> list[Diagnostic]:
    """What the plan calls and may not, or the engine does not have, once for each place."""
    own = {function["name"] for function in plan["funcs"]["funcs"]}
    found: dict[tuple[str, int, int], Diagnostic] = {}
    for kind, statement in _statements(plan):
        if kind != "CallStmt":
            continue
        name = str(statement["func"])
        if name in own:
            continue
        namespace, dot, _ = name.partition(".")
        if name in _REFUSED:
            message = f"{name} is refused: a finding depends on the inventory and on nothing else"
        elif not available(name) and not _is_operator(name, plan):
            message = f"the engine has no function {name}"
        elif dot and namespace not in _NAMESPACES:
            message = f"{name} is refused: it is not among what policies may call"
        else:
            continue
        number, row, column = (int(statement.get(key, 0)) for key in ("file", "row", "col"))
        file = files[number] if number < len(files) else files[0]
        at = (file.path, row, column)
        found[at] = file.diagnostic(
            REFUSED, message, row + 1, "docs/policies.md has what policies may call", column + 1
        )
    return list(found.values())


def _is_operator(name: str, plan: Mapping[str, Any]) -> bool:
    """Whether the engine calls it of its own accord, as for `==`: declared in the plan, without a dot."""
    return "." not in name and any(f["name"] == name for f in plan["static"]["builtin_funcs"])


def _used_keys(plan: Mapping[str, Any]) -> frozenset[str] | None:
    """The keys that the plan takes from the input (`input.KEY`), or None when it takes the input whole.

    The input is local 0 of the plan and of each function, and each call of a function hands it on. Whatever
    is not recognised counts as the whole.
    """
    own = {function["name"] for function in plan["funcs"]["funcs"]}
    strings = [entry["value"] for entry in plan["static"]["strings"]]
    keys: set[str] = set()
    for kind, statement in _statements(plan):
        if kind == "DotStmt" and statement["source"] == _INPUT:
            if statement["key"].get("type") != "string_index":
                return None
            keys.add(strings[statement["key"]["value"]])
            continue
        given = statement.get("args", [])[1:] if statement.get("func") in own else statement.get("args", [])
        others = [value for key, value in statement.items() if key not in _NO_LOCALS]
        whole = kind != "MakeNumberIntStmt" and kind != "WithStmt" and 0 in others
        if whole or _INPUT in given or _INPUT in others:
            return None
    return frozenset(keys)


_INPUT = {"type": "local", "value": 0}
_NO_LOCALS = frozenset({"args", "blocks", "block", "file", "row", "col", "index", "func", "capacity"})


def _statements(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every statement in a plan with its type, however deep."""
    if isinstance(value, Mapping):
        if isinstance(value.get("stmt"), Mapping):
            yield str(value["type"]), value["stmt"]
        for item in value.values():
            yield from _statements(item)
    elif isinstance(value, list):
        for item in value:
            yield from _statements(item)
