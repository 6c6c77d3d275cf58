"""What Pulumi does with a program of toys, written down from its documentation: a second opinion, not an engine.

The rules are those of https://www.pulumi.com/docs/iac/concepts/how-pulumi-works/ and .../concepts/resources/options/
(aliases, deleteBeforeReplace, ignoreChanges, protect, replaceOnChanges, retainOnDelete). Nothing of
`fleet.engine` is used here. The model knows the toys (tests/parity/toy.py): `name` and `serial` force a
replacement, a changed `serial` wants the old one deleted first.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.parity.programs import Program, Toy

UNKNOWN: Final = "?"
_ROOT: Final = ""


@dataclass(frozen=True)
class Known:
    """A toy as the state has it. `sources` tells which input came from which resource, by URN."""

    toy: Toy
    urn: str
    inputs: dict[str, Any]
    sources: dict[str, str] = field(default_factory=dict)
    uses: frozenset[str] = frozenset()


State = tuple[Known, ...]


@dataclass
class Outcome:
    """What is to be: operations by name, the state after, and the name of what protection stops."""

    ops: dict[str, str]
    state: State = ()
    abandoned: tuple[dict[str, Any], ...] = ()
    """Inputs of what is no longer in the state, and still in the world."""
    refused: str | None = None


class Model:
    """One run over a state. With `preview` what a create will give is not known."""

    def __init__(self, state: State, *, preview: bool) -> None:
        self.before = list(state)
        self.preview = preview
        self.ops: dict[str, str] = {}
        self.fresh: dict[str, Known] = {}
        """By name in the program."""
        self.links: dict[str, str] = {}
        self.serials: dict[str, Any] = {}
        self.doomed: set[str] = set()
        """URNs of the state that were deleted early, to come again."""
        self.old_urns: dict[str, str] = {}
        """Of what was found under an alias: its URN in the program, and in the state."""

    def run(self, program: Program) -> Outcome:
        """Play a whole program."""
        for toy in program:
            if not self._register(toy):
                return Outcome(self.ops, refused=toy.name)
        gone = [k for k in self.before if k.urn not in self._taken()]
        for known in gone:
            if known.toy.protect and known.urn not in self.doomed:
                return Outcome(self.ops, refused=known.toy.name)
        abandoned = []
        for known in gone:
            kept = known.toy.retain and known.toy.kind != "Group"
            # The CLI calls it a replacement that was begun, although nothing comes.
            early = known.urn in self.doomed
            self.ops[known.toy.name] = "replace" if early else "retain" if kept else "delete"
            if kept:
                abandoned.append(known.inputs)
        for known in self.before:
            # Its successor is there; what is retained stays in the world beside it.
            new = self.fresh.get(self._name_now(known))
            if new and self.ops[new.toy.name] == "replace" and known.toy.retain and known.urn not in gone:
                abandoned.append(known.inputs)
        return Outcome(self.ops, tuple(self.fresh.values()), tuple(abandoned))

    def _taken(self) -> set[str]:
        return {self.old_urns.get(k.urn, k.urn) for k in self.fresh.values()}

    def _name_now(self, known: Known) -> str:
        return next((n for n, k in self.fresh.items() if self.old_urns.get(k.urn, k.urn) == known.urn), "")

    def _register(self, toy: Toy) -> bool:
        urn = self._urn(toy.parent, toy, toy.name)
        old = self._old(urn, toy)
        inputs, sources = self._inputs(toy)
        uses = frozenset(self.fresh[name].urn for name in toy.uses)
        known = Known(toy, urn, inputs, sources, uses)
        if toy.kind == "Group":
            self._done(known, "same" if old else "create")
            return True
        if old is None:
            self._done(known, "create")
        elif old.urn in self.doomed:
            self._done(known, "replace")
        else:
            return self._change(known, old)
        return True

    def _change(self, known: Known, old: Known) -> bool:
        toy = known.toy
        kept = replace(known, inputs=_ignoring(old.inputs, known.inputs, toy.ignore))
        differing = {key for key in old.inputs | kept.inputs if _differ(old.inputs, kept.inputs, key)}
        forcing = differing & {"name", "serial", *toy.replace_on}
        if not forcing:
            self._done(kept, "update" if differing else "same", old)
            return True
        if toy.protect and old.toy.protect:
            return False
        if toy.delete_first if toy.delete_first is not None else "serial" in differing:
            if not self._delete_dependants(old):
                return False
            self.doomed.add(old.urn)
        # A replacement is made from what the program says: there is nothing left to ignore a change of.
        self._done(known, "replace")
        return True

    def _delete_dependants(self, root: Known) -> bool:
        """Doom what must be replaced too, because a new value of the deleted one would force it."""
        gone = {root.urn}
        for known in self.before:
            forced = any(known.sources.get(key) in gone for key in ("name", "serial"))
            if forced and known.urn not in self._taken() and known.urn not in self.doomed:
                if known.toy.protect:
                    return False
                gone.add(known.urn)
        self.doomed |= gone
        return True

    def _done(self, known: Known, op: str, old: Known | None = None) -> None:
        name = known.toy.name
        self.ops[name] = op
        if op == "replace":
            # The CLI tells both halves, each under its own name.
            self.ops[self.old_urns.get(known.urn, known.urn).rsplit("::", 1)[-1]] = op
        self.fresh[name] = known
        if known.toy.kind != "Group":
            made = op in ("create", "replace")
            self.links[name] = UNKNOWN if made and self.preview else f"https://{known.inputs['name']}.example"
            self.serials[name] = known.inputs.get("serial")

    def _inputs(self, toy: Toy) -> tuple[dict[str, Any], dict[str, str]]:
        if toy.kind == "Group":
            return {}, {}
        inputs = {"name": toy.name, **toy.props}
        sources = {}
        if toy.password:
            inputs["password"] = toy.password
        if toy.source:
            inputs["source"], sources["source"] = self.links[toy.source], self.fresh[toy.source].urn
        if toy.like:
            inputs["serial"], sources["serial"] = self.serials[toy.like], self.fresh[toy.like].urn
        return {k: v for k, v in inputs.items() if v is not None}, sources

    def _urn(self, parent: str | None, toy: Toy, name: str) -> str:
        return _urn(self.fresh[parent].urn if parent else _ROOT, toy.token, name)

    def _old(self, urn: str, toy: Toy) -> Known | None:
        """What a toy continues: under its URN, an alias of its own, or one that its parent's alias gives it."""
        names = (toy.name, *toy.aliases)
        candidates = [self._urn(toy.parent, toy, name) for name in names]
        if toy.parent and (moved := self.old_urns.get(self.fresh[toy.parent].urn)):
            before = moved.rsplit("::", 1)[-1]
            for name in names:
                # A child named after its parent is renamed with it.
                tail = name.removeprefix(toy.parent)
                candidates.append(_urn(moved, toy.token, name if tail == name else before + tail))
        for candidate in candidates:
            found = next((k for k in self.before if k.urn == candidate), None)
            if found is not None:
                if candidate != urn:
                    self.old_urns[urn] = candidate
                    self.before = [_moved(k, candidate, urn) for k in self.before]
                return found
        return None


def _urn(parent: str, token: str, name: str) -> str:
    chain = parent.split("::")[0] + "$" if parent else ""
    return f"{chain}{token}::{name}"


def _moved(known: Known, old: str, new: str) -> Known:
    """The state's references follow what has another URN now."""
    sources = {key: new if urn == old else urn for key, urn in known.sources.items()}
    return replace(known, sources=sources, uses=frozenset(new if u == old else u for u in known.uses))


def _ignoring(old: dict[str, Any], new: dict[str, Any], paths: tuple[str, ...]) -> dict[str, Any]:
    result = dict(new)
    for path in paths:
        top, _, leaf = path.partition(".")
        if not leaf:
            result[top] = old.get(top)
        elif isinstance(old.get(top), dict) and isinstance(result.get(top), dict):
            result[top] = {**result[top], leaf: old[top].get(leaf)}
            result[top] = {k: v for k, v in result[top].items() if v is not None}
    return {key: value for key, value in result.items() if value is not None}


def _differ(old: dict[str, Any], new: dict[str, Any], key: str) -> bool:
    return UNKNOWN in (new.get(key), old.get(key)) or old.get(key) != new.get(key)
