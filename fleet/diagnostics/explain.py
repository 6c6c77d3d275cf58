"""What the codes mean: a page for each code of a finding, a line for each code of a failed command."""

import difflib
import importlib.resources
import re
from collections.abc import Collection
from dataclasses import dataclass

import yaml


@dataclass(frozen=True, slots=True)
class Explanation:
    """A code and what it means. `page` is markdown: why, a wrong example, a right one."""

    code: str
    summary: str
    page: str | None = None
    advice: str | None = None
    """For a failed command: why it fails, and what to do; a few sentences."""


_CODE = re.compile(r"([A-Z]+)-?([0-9]{0,6})")


def near_code(asked: str, known: Collection[str]) -> str:
    """Help for a code that is not `known`: what was meant, as far as it is plain, or how to see them all.

    A code is a topic and a number. A near number is no near meaning, so only the topic is guessed: `NET3` and
    `NTE003` mean NET003, `NET999` nothing; then the topic's codes are named.
    """
    every = "`fleet explain` lists every code"
    parts = _CODE.fullmatch(asked.strip().upper())
    if parts is None:
        return every
    topics = sorted({code[:-3] for code in known})
    near = [topic for topic in topics if sorted(topic) == sorted(parts[1])]  # two letters changed places
    near = [parts[1]] if parts[1] in topics else near or difflib.get_close_matches(parts[1], topics, 1, 0.8)
    if not near:
        return every
    meant = f"{near[0]}{parts[2].zfill(3)[:3]}"
    if meant in known and parts[2]:
        return f"did you mean {meant}?"
    codes = sorted(code for code in known if code[:-3] == near[0])
    return f"codes of {near[0]}: {codes[0]} to {codes[-1]}; {every}" if codes[1:] else f"{codes[0]}; {every}"


def titled(code: str, page: str) -> Explanation:
    """The explanation that a page gives; its first line is `# CODE: summary`."""
    return Explanation(code, page.partition("\n")[0].partition(": ")[2], page)


def built_in() -> dict[str, Explanation]:
    """What INV, SUP and the codes of failed commands mean, by code; a rule's page is with the rule."""
    folder = importlib.resources.files(__package__)
    summaries, advice = (
        yaml.safe_load((folder / name).read_text(encoding="utf-8")) for name in ("codes.yaml", "advice.yaml")
    )
    known = {code: Explanation(code, text, None, advice.get(code)) for code, text in summaries.items()}
    for page in (folder / "pages").iterdir():
        code = page.name.removesuffix(".md")
        known[code] = titled(code, page.read_text(encoding="utf-8"))
    return dict(sorted(known.items()))
