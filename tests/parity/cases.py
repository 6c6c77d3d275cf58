"""Cases by hand, each two programs, and how one sequence of programs is played on a stage."""

from dataclasses import dataclass, replace
from typing import Any

from tests.parity.programs import Program, Toy
from tests.parity.stages import Stage, ops

_A = Toy("a", props={"name": "a-one", "size": 1, "serial": "s1", "tags": {"env": "dev"}})
_DETAILED = replace(_A, kind="Detailed")
_LAZY = replace(_A, kind="Lazy")
_NEW_NAME = replace(_A, name="ax", aliases=("a",))


def _with(toy: Toy, **props: Any) -> Toy:
    return replace(toy, props={**toy.props, **props})


CASES: dict[str, tuple[Program, Program]] = {
    "ignored and replaced": ((_A,), (replace(_with(_A, name="a-two", size=9), ignore=("size",)),)),
    "ignored and deleted first": ((_A,), (replace(_with(_A, serial="s2", size=9), ignore=("size",)),)),
    "ignored below a map that goes": (
        (_DETAILED,),
        (replace(_DETAILED, props={"name": "a-one", "size": 2, "serial": "s1"}, ignore=("tags.env",)),),
    ),
    "replaced on a change of a map": (
        (_DETAILED,),
        (replace(_with(_DETAILED, tags={"env": "prod"}), replace_on=("tags",)),),
    ),
    "replaced on a change below the top, the provider tells the top only": (
        (_A,),
        (replace(_with(_A, tags={"env": "prod"}), replace_on=("tags.env",)),),
    ),
    "replaced on a change below the top, the provider tells the leaves": (
        (_DETAILED,),
        (replace(_with(_DETAILED, tags={"env": "prod"}), replace_on=("tags.env",)),),
    ),
    "replaced on a change below the top, the engine compares": (
        (_LAZY,),
        (replace(_with(_LAZY, tags={"env": "prod"}), replace_on=("tags.env",)),),
    ),
    "replaced on a change of what is in a map that goes": (
        (_DETAILED,),
        (replace(_DETAILED, props={"name": "a-one", "size": 1, "serial": "s1"}, replace_on=("tags.env",)),),
    ),
    "replaced on a change of what comes from one that is deleted first": (
        (_A, Toy("b", source="a", replace_on=("source",))),
        (_with(_A, serial="s2"), Toy("b", source="a", replace_on=("source",))),
    ),
    "the same, the engine compares": (
        (_A, Toy("b", "Lazy", source="a", replace_on=("source",))),
        (_with(_A, serial="s2"), Toy("b", "Lazy", source="a", replace_on=("source",))),
    ),
    "the same, and the change is ignored": (
        (_A, Toy("b", "Lazy", source="a", replace_on=("source",), ignore=("source",))),
        (_with(_A, serial="s2"), Toy("b", "Lazy", source="a", replace_on=("source",), ignore=("source",))),
    ),
    "dependants deleted first are kept in the world": (
        (_A, Toy("b", like="a", retain=True)),
        (_with(_A, serial="s2"), Toy("b", like="a", retain=True)),
    ),
    "deleted first with what it depends on, and dropped": (
        (_A, Toy("b", like="a")),
        (_with(_A, serial="s2"),),
    ),
    "the same, and kept in the world": (
        (_A, Toy("b", like="a", retain=True)),
        (_with(_A, serial="s2"),),
    ),
    "replaced under a new name": ((_A,), (_with(_NEW_NAME, name="a-two"),)),
    "deleted first under a new name": ((_A,), (_with(_NEW_NAME, serial="s2"),)),
    "deleted first under a new name and kept in the world": (
        (replace(_A, retain=True),),
        (replace(_with(_NEW_NAME, serial="s2"), retain=True),),
    ),
    "retained and replaced": ((replace(_A, retain=True),), (replace(_with(_A, name="a-two"), retain=True),)),
    "newly retained and replaced": ((_A,), (replace(_with(_A, name="a-two"), retain=True),)),
    "newly protected and replaced": ((_A,), (replace(_with(_A, name="a-two"), protect=True),)),
    "no longer protected and replaced": ((replace(_A, protect=True),), (_with(_A, name="a-two"),)),
    "protected and replaced": (
        (replace(_A, protect=True),),
        (replace(_with(_A, name="a-two"), protect=True),),
    ),
    "a secret becomes plain and stays what it was": (
        (replace(_A, password="hunter-one"),),
        (_with(_A, password="hunter-one"),),
    ),
    "a secret becomes plain, the engine compares": (
        (replace(_LAZY, password="hunter-one"),),
        (_with(_LAZY, password="hunter-one"),),
    ),
    "what was plain becomes a secret, the engine compares": (
        (_with(_LAZY, password="hunter-one"),),
        (replace(_LAZY, password="hunter-one"),),
    ),
    "becomes a component": ((_A,), (Toy("a", "Group"),)),
    "moved under a component without an alias": ((_A,), (Toy("g", "Group"), replace(_A, parent="g"))),
    "a dependant that must go first is protected": (
        (_A, Toy("b", like="a", protect=True)),
        (_with(_A, serial="s2"), Toy("b", like="a", protect=True)),
    ),
}
"""Both engines do the same, to the letter."""

DIFFERENT: dict[str, tuple[Program, Program]] = {
    "one of two that are dropped is protected": ((replace(_A, protect=True), Toy("b")), ()),
}
"""The engines differ, on purpose (docs/parity.md)."""


@dataclass(frozen=True)
class Seen:
    """What one engine did with one program. After a failure only that it failed is compared."""

    preview: dict[str, str]
    up: dict[str, str]
    failed: bool
    world: dict[str, int]


def play(stage: Stage, program: Program) -> Seen:
    """Preview and run one program."""
    preview, up = stage.preview(program), stage.up(program)
    if up.error is not None:
        return Seen({}, {}, failed=True, world=dict(stage.world()))
    return Seen(ops(preview), ops(up), failed=False, world=dict(stage.world()))
