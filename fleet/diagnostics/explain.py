"""What the codes mean: a page for each code of a finding, a line for each code of a failed command."""

import importlib.resources
from dataclasses import dataclass

import yaml


@dataclass(frozen=True, slots=True)
class Explanation:
    """A code and what it means. `page` is markdown: why, a wrong example, a right one."""

    code: str
    summary: str
    page: str | None = None


def titled(code: str, page: str) -> Explanation:
    """The explanation that a page gives; its first line is `# CODE: summary`."""
    return Explanation(code, page.partition("\n")[0].partition(": ")[2], page)


def built_in() -> dict[str, Explanation]:
    """What INV, SUP and the codes of failed commands mean, by code; a rule's page is with the rule."""
    folder = importlib.resources.files(__package__)
    known = {
        code: Explanation(code, summary)
        for code, summary in yaml.safe_load((folder / "codes.yaml").read_text(encoding="utf-8")).items()
    }
    for page in (folder / "pages").iterdir():
        code = page.name.removesuffix(".md")
        known[code] = titled(code, page.read_text(encoding="utf-8"))
    return dict(sorted(known.items()))
