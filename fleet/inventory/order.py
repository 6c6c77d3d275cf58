"""Keys in the order of a schema, by moving text.

A round-trip library keeps a comment with the value *before* it, so that a comment above a key would stay
behind when the key moves. Here the lines above a key go with it, and nothing inside a value is touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import yaml

from fleet.inventory.schema import Schema, child, resolved

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def ordered(text: str, schema: Schema) -> str:
    """`text` with the keys of every mapping in the order of `schema`, unknown ones last, as they were given.

    The comments and blank lines above a key go with it; those at the top of the file stay there. Comments in
    a line of their own are indented for the layout (two a mapping, two and the dash a list). A mapping with a
    merge key, and one in braces that holds a comment or an alias, stays as it is. `text` is one YAML document
    that ends with a line break; raises `yaml.YAMLError` when it is none.
    """
    root = yaml.compose(text, Loader=_LOADER)
    return _Arranger(text, schema).arranged(root, schema, 0, len(text), 0)


def with_key(text: str, schema: Schema, path: Sequence[str], key: str, block: str, inline: str) -> str:
    """`text` with a key added to the mapping at `path`, before the first key that follows it in `schema`.

    The comments above that one stay above it. `block` is the entry in lines, `inline` as it stands in
    braces. Raises `KeyError` when there is no mapping at `path`.
    """
    node: Any = yaml.compose(text, Loader=_LOADER)
    here, above = schema, 0
    for step in path:
        pairs = {k.value: (k, v) for k, v in node.value}
        above, node, here = pairs[step][0].end_mark.index, pairs[step][1], child(schema, here, step) or {}
    if not isinstance(node, yaml.MappingNode):
        raise KeyError(".".join(path))
    order = list(resolved(schema, here).get("properties", {}))
    following = order[order.index(key) + 1 :] if key in order else []
    place = next((n for n, (k, _) in enumerate(node.value) if k.value in following), len(node.value))
    starts = [k.start_mark.index for k, _ in node.value]
    if node.flow_style:
        if place < len(starts):
            return f"{text[: starts[place]]}{inline}, {text[starts[place] :]}"
        at = max(mark.end_mark.index for mark in node.value[-1]) if starts else node.end_mark.index - 1
        return f"{text[:at]}{', ' if starts else ''}{inline}{text[at:]}"
    lines = _Arranger(text, schema)
    inner = starts[0] - lines.line(starts[0])
    if place == 0:
        at = lines.lead(above, starts[0], inner) if above else lines.line(starts[0])
    else:
        end = starts[place] if place < len(starts) else node.end_mark.index
        at = lines.lead(starts[place - 1], end, inner)
    entry = "".join(f"{' ' * inner}{line}\n" for line in block.splitlines())
    return text[:at] + entry + text[at:]


@dataclass(frozen=True)
class _Arranger:
    text: str
    root: Schema

    def arranged(self, node: Any, schema: Schema, start: int, end: int, column: int) -> str:
        """`text[start:end]`, which holds `node`, arranged; its keys or dashes will stand at `column`."""
        if not isinstance(node, yaml.CollectionNode) or not node.value:
            return self.text[start:end]
        if not start <= node.start_mark.index < end:
            return self.text[start:end]  # an alias: its node stands elsewhere
        if node.flow_style:
            return self.flow(node, schema, start, end)
        return self.block(node, schema, start, end, column)

    def flow(self, node: Any, schema: Schema, start: int, end: int) -> str:
        """A mapping or a list in brackets: what stands between the entries keeps its place."""
        between, entries, at = [], [], start
        for entry in node.value:
            key, value = entry if isinstance(entry, tuple) else (None, entry)
            first = key or value
            gap = self.text[at : first.start_mark.index]
            if "#" in gap or not at <= first.start_mark.index <= value.start_mark.index < end:
                return self.text[start:end]
            between.append(gap)
            head = self.text[first.start_mark.index : key.end_mark.index] if key else ""
            behind = key.end_mark.index if key else value.start_mark.index
            at = max(behind, value.end_mark.index)
            part = child(self.root, schema, key.value if key else 0) or {}
            entries.append(head + self.arranged(value, part, behind, at, 0))
        ranks = self.ranked(node, schema)
        return "".join(between[n] + entries[i] for n, i in enumerate(ranks)) + self.text[at:end]

    def block(self, node: Any, schema: Schema, start: int, end: int, column: int) -> str:
        """A mapping or a list in lines: each entry has a lead, the lines above it, and a body."""
        text, starts = self.text, self.entry_starts(node, start)
        inner = starts[0] - self.line(starts[0])
        if any(text[self.line(at) : at] != " " * inner for at in starts[1:]):
            return text[start:end]  # `? key`, or dashes behind each other
        # The first entry may stand behind a dash; and what is at the top of the file stays there.
        behind = start == 0 or bool(text[self.line(starts[0]) : starts[0]].strip())
        bounds = [starts[0] if behind else self.lead(start, starts[0], inner)]
        bounds += [self.lead(above, at, inner) for above, at in pairwise(starts)]
        bounds.append(self.lead(starts[-1], end, inner))

        entries = []
        for number, at in enumerate(starts):
            lead = self.indented(bounds[number], self.line(at), column) if bounds[number] < at else ""
            entry = node.value[number]
            key, value = entry if isinstance(entry, tuple) else (None, entry)
            head_end = key.end_mark.index if key else at + 1
            part = child(self.root, schema, key.value if key else 0) or {}
            body = self.arranged(value, part, head_end, bounds[number + 1], column + 2)
            while key is None and body.lstrip(" ").startswith("#"):  # between a dash and its item
                comment, _, rest = body.partition("\n")
                if rest[: inner + 2].strip():
                    break
                lead, body = f"{lead}{' ' * column}{comment.strip()}\n", rest[inner + 1 :]
            entries.append((lead, text[at:head_end] + body))

        pieces = [text[start : bounds[0]]]
        for place, number in enumerate(self.ranked(node, schema)):
            lead, body = entries[number]
            if place == 0:
                lead = lead.lstrip("\n ") if behind else lead.lstrip("\n")
            pieces += [lead, "" if behind and place == 0 and not lead else " " * inner, body]
        return "".join([*pieces, self.indented(bounds[-1], end, column)])

    def ranked(self, node: Any, schema: Schema) -> list[int]:
        """The numbers of the entries in the order that they shall have."""
        numbers = list(range(len(node.value)))
        keys = [key.value for key, _ in node.value] if isinstance(node, yaml.MappingNode) else ["<<"]
        if "<<" in keys:
            return numbers  # what a merge gives depends on where it stands
        order = list(resolved(self.root, schema).get("properties", {}))
        return sorted(numbers, key=lambda i: order.index(keys[i]) if keys[i] in order else len(order))

    def entry_starts(self, node: Any, start: int) -> list[int]:
        """Where each key or dash stands."""
        if isinstance(node, yaml.MappingNode):
            return [key.start_mark.index for key, _ in node.value]
        starts: list[int] = []
        for item in node.value:
            dash = self.text.rfind("-", start, item.start_mark.index)
            while "#" in self.text[self.line(dash) : dash]:  # in a comment between the dash and its item
                dash = self.text.rfind("-", start, self.line(dash))
            starts.append(dash)
            start = dash + 1
        return starts

    def line(self, at: int) -> int:
        """Where the line that holds `at` begins."""
        return self.text.rfind("\n", 0, at) + 1

    def lead(self, lowest: int, at: int, inner: int) -> int:
        """Where the blank lines and comments begin that stand above the line of `at`, and belong to it.

        A comment further in than `inner`, where the entries stand, belongs to what is above it.
        """
        line = self.line(at)
        while line > lowest:
            above = self.line(line - 1)
            content = self.text[above:line].strip()
            indent = len(self.text[above:line]) - len(self.text[above:line].lstrip(" "))
            if above < lowest or (content and (content[0] != "#" or indent > inner)):
                break
            line = above
        return line

    def indented(self, start: int, end: int, column: int) -> str:
        """Lines that are blank or comments, at `column`."""
        lines = (line.strip() for line in self.text[start:end].split("\n")[:-1])
        return "".join(f"{' ' * column}{line}\n" if line else "\n" for line in lines)
