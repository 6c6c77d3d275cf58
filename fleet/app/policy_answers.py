"""What the engine's answers mean: findings at a place of the inventory, or POL where they can't be used."""

import difflib
from collections.abc import Collection, Iterator
from typing import Any

from fleet.app.policies import Question, fleet_keys, phrase, site_fields
from fleet.inventory.rule import Finding

Found = tuple[str, Finding]
"""A finding and its code: one of the policy's, or POL when its answer can't be used."""

MAX_RESULTS = 100
"""What one set of a policy may hold for one site, or for the fleet: more is a mistake, and unreadable."""

FAILED, MISSHAPEN, UNKNOWN_CODE, UNKNOWN_PATH = "POL005", "POL006", "POL007", "POL008"
RUNTIME_CODES = {
    FAILED: "a policy can be evaluated",
    MISSHAPEN: "a policy's results have the documented shape",
    UNKNOWN_CODE: "a policy gives only codes that it declares",
    UNKNOWN_PATH: "the path of a policy's result leads into the inventory",
}
"""What is only seen while policies run: code and what holds."""


def read_answer(question: Question, answer: Any, sites: Collection[str]) -> list[Found]:
    """What the engine's answer to a question means, sorted; what can't be used becomes a POL finding.

    `sites` are the names that a result about the fleet may give; an answer of None is a set not defined.
    """
    if answer is None:
        return []
    if not isinstance(answer, list):
        return [problem(MISSHAPEN, question, "it is no set", "deny contains {…} if {…}")]
    found = []
    if len(answer) > MAX_RESULTS:
        message = f"it holds {len(answer)} results; the first {MAX_RESULTS} are shown"
        found.append(problem(MISSHAPEN, question, message, "let one result name what is wrong together"))
    for item in answer[:MAX_RESULTS]:
        found += _read_item(question, item, sites)
    return sorted(dict.fromkeys(found), key=lambda f: (f[0], f[1].message, f[1].site or "", repr(f[1].path)))


_KEYS = ("code", "msg", "path", "help")


def _read_item(question: Question, item: Any, sites: Collection[str]) -> Iterator[Found]:
    if isinstance(item, str):
        item = {"msg": item}
    fields = (*_KEYS, "site") if question.scope == "fleet" else _KEYS
    wrong = _misshapen(item, fields)
    if wrong is not None:
        yield problem(MISSHAPEN, question, wrong, f"an object of {', '.join(fields)}; or a text")
        return
    code = item.get("code", question.codes[0] if len(question.codes) == 1 else None)
    if code not in question.codes:
        what = f"it gives {code}" if code else "it gives a result without a code, and declares several"
        near = difflib.get_close_matches(str(code), question.codes, 1, 0.6)
        help_text = f"did you mean {near[0]}?" if near else f"it declares {', '.join(question.codes)}"
        yield problem(UNKNOWN_CODE, question, what, help_text)
        return
    path, site = tuple(item.get("path") or ()), item.get("site")
    keys = fleet_keys() if question.scope == "fleet" and site is None else site_fields().keys()
    if site is not None and site not in sites:
        yield problem(UNKNOWN_PATH, question, f"it names the site {phrase(site)!r}, and there is none", None)
        site, path = None, ()
    elif path and path[0] not in keys:
        near = difflib.get_close_matches(str(path[0]), keys, 1, 0.6)
        help_text = f"did you mean {near[0]!r}?" if near else "keys as YAML has them, from the outermost"
        message = f"a path of {code} begins with {phrase(str(path[0]))!r}, and no such key is known"
        yield problem(UNKNOWN_PATH, question, message, help_text)
        path = ()
    help_text = item.get("help")
    yield code, Finding(path, phrase(item["msg"]), phrase(help_text) if help_text else None, site=site)


def _misshapen(item: Any, known: Collection[str]) -> str | None:
    """What is wrong with the shape of a result, or None."""
    if not isinstance(item, dict):
        return f"a result is {_kind_of(item)}"
    if unknown := sorted(item.keys() - set(known)):
        return f"a result has a key {phrase(unknown[0])!r}"
    if not isinstance(item.get("msg"), str) or not item["msg"].strip():
        return "a result has no msg, or one that is no text"
    for key in ("code", "help", "site"):
        if key in item and not isinstance(item[key], str):
            return f"the {key} of a result is {_kind_of(item[key])}"
    path = item.get("path", [])
    if not isinstance(path, list) or not all(type(step) in (str, int) for step in path):
        return "the path of a result is no list of keys and numbers"
    return None


def _kind_of(value: Any) -> str:
    names = {bool: "true or false", list: "a list", dict: "an object", type(None): "null", str: "a text"}
    return names.get(type(value), "a number")


def problem(code: str, question: Question, what: str, help_text: str | None) -> Found:
    """A finding about the policy itself, shown at the site (or the fleet) that brought it out."""
    return code, Finding((), f"policy {question.name}: {what}", help_text)
