"""What every code means: ours, and those of the rules that are installed."""

import importlib.resources
from collections.abc import Sequence

from fleet.diagnostics.explain import Explanation, built_in, titled
from fleet.inventory.rule import Rule


def explanations(rules: Sequence[Rule]) -> dict[str, Explanation]:
    """Every explanation by code. A rule's page is `rules/CODE.md` in the package that the rule is from."""
    known = built_in()
    for rule in rules:
        page = getattr(rule, "page", None) or _page(rule)  # a policy brings its own
        known[rule.code] = titled(rule.code, page) if page else Explanation(rule.code, rule.summary)
    return dict(sorted(known.items()))


def _page(rule: Rule) -> str | None:
    try:
        page = importlib.resources.files(rule.package) / "rules" / f"{rule.code}.md"
        return page.read_text(encoding="utf-8")
    except (OSError, ImportError, TypeError, ValueError):  # a rule of a single module, or without a page
        return None
