"""Programs as data: what they declare, how one is edited into the next, and how one is run."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi

KINDS = ("Thing", "Detailed", "Lazy")


@dataclass(frozen=True)
class Toy:
    """One resource of a program.

    `source` is the name of an earlier one whose `link` (an output that a preview does not know) this one
    takes as its input `source`; `like` of one whose `serial` it takes over. A `Group` is a component.
    `aliases` are earlier names.
    """

    name: str
    kind: str = "Thing"
    parent: str | None = None
    props: dict[str, Any] = field(default_factory=dict)
    password: str | None = None
    source: str | None = None
    like: str | None = None
    depends_on: tuple[str, ...] = ()
    protect: bool = False
    retain: bool = False
    ignore: tuple[str, ...] = ()
    delete_first: bool | None = None
    replace_on: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def token(self) -> str:
        return f"toy:index:{self.kind}"

    @property
    def uses(self) -> set[str]:
        """The names of what must be declared before."""
        return {u for u in (self.parent, self.source, self.like, *self.depends_on) if u}


Program = tuple[Toy, ...]


def declare(program: Program) -> Callable[[], None]:
    """The Pulumi program."""

    def run() -> None:
        made: dict[str, Any] = {}
        for toy in program:
            options = pulumi.ResourceOptions(
                parent=made[toy.parent] if toy.parent else None,
                depends_on=[made[name] for name in toy.depends_on],
                protect=toy.protect,
                retain_on_delete=toy.retain,
                ignore_changes=list(toy.ignore),
                delete_before_replace=toy.delete_first,
                replace_on_changes=list(toy.replace_on),
                aliases=[pulumi.Alias(name=name) for name in toy.aliases],
            )
            if toy.kind == "Group":
                made[toy.name] = pulumi.ComponentResource(toy.token, toy.name, {}, options)
                continue
            props: dict[str, Any] = {"name": toy.name, "link": None, "serial": None, **toy.props}
            if toy.password:
                props["password"] = pulumi.Output.secret(toy.password)
            if toy.source:
                props["source"] = made[toy.source].link
            if toy.like:
                props["serial"] = made[toy.like].serial
            made[toy.name] = _Thing(toy.token, toy.name, props, options)

    return run


class _Thing(pulumi.CustomResource):
    link: pulumi.Output[str]
    serial: pulumi.Output[str]


def first_program(chance: random.Random, *, secrets: bool) -> Program:
    """A program of up to six resources."""
    program: Program = ()
    for number in range(chance.randint(2, 6)):
        program = (*program, _toy(chance, program, f"t{number}", secrets))
    return program


def edited(chance: random.Random, program: Program, *, secrets: bool) -> Program:
    """The program after one to three changes; some of them may come to nothing.

    Protection changes alone: what a newly protected resource that must be replaced does is a known difference.
    """
    if chance.random() < 0.1:
        return _change(lambda chance, t: replace(t, protect=not t.protect))(chance, program, secrets)
    for _ in range(chance.randint(1, 3)):
        program = chance.choice(_EDITS)(chance, program, secrets)
    return program


def _toy(chance: random.Random, before: Program, name: str, secrets: bool) -> Toy:
    groups = [t.name for t in before if t.kind == "Group"]
    parent = chance.choice(groups) if groups and chance.random() < 0.5 else None
    if chance.random() < 0.2:
        return Toy(name, "Group", parent)
    things = [t.name for t in before if t.kind != "Group"]

    def some(likely: float) -> str | None:
        return chance.choice(things) if things and chance.random() < likely else None

    like = some(0.2)
    props: dict[str, Any] = {"name": f"{name}-one", "size": chance.randint(1, 3), "tags": {"env": "dev"}}
    if like is None:
        props["serial"] = "s1"
    return Toy(
        name,
        chance.choice(KINDS),
        parent,
        props,
        password="hunter-one" if secrets and chance.random() < 0.5 else None,
        source=some(0.4),
        like=like,
        depends_on=(needed,) if (needed := some(0.2)) else (),
        protect=chance.random() < 0.1,
        retain=chance.random() < 0.1,
        delete_first=chance.choice((None, None, None, True, False)),
    )


def _add(chance: random.Random, program: Program, secrets: bool) -> Program:
    # Not the next number: a name that was dropped before is not taken again.
    return (*program, _toy(chance, program, f"t{chance.randint(10, 9999)}", secrets))


def _drop(chance: random.Random, program: Program, secrets: bool) -> Program:
    used = set().union(*(t.uses for t in program))
    free = [t for t in program if t.name not in used]
    gone = chance.choice(free) if free else None
    return tuple(t for t in program if t is not gone)


def _change(make: Callable[[random.Random, Toy], Toy]) -> Callable[[random.Random, Program, bool], Program]:
    def edit(chance: random.Random, program: Program, secrets: bool) -> Program:
        things = [t for t in program if t.kind != "Group"]
        chosen = chance.choice(things) if things else None
        return tuple(make(chance, t) if t is chosen else t for t in program)

    return edit


def _resize(chance: random.Random, toy: Toy) -> Toy:
    return replace(toy, props={**toy.props, "size": chance.randint(1, 5)})


def _retag(chance: random.Random, toy: Toy) -> Toy:
    tags = {"env": chance.choice(("dev", "prod")), chance.choice("abc"): "x"}
    return replace(toy, props={**toy.props, "tags": tags})


def _renumber(chance: random.Random, toy: Toy) -> Toy:
    if toy.like is not None:
        return toy
    return replace(toy, props={**toy.props, "serial": chance.choice(("s1", "s2", "s3"))})


def _other_name(chance: random.Random, toy: Toy) -> Toy:
    return replace(toy, props={**toy.props, "name": f"{toy.name}-{chance.choice(('one', 'two', 'three'))}"})


def _rename(chance: random.Random, program: Program, secrets: bool) -> Program:
    """Another name in the program, the old one an alias; whoever used it uses the new name."""
    if not program:
        return program
    chosen = chance.choice(program)
    new = f"{chosen.name}x"

    def renamed(name: str | None) -> str | None:
        return new if name == chosen.name else name

    return tuple(
        replace(
            t,
            name=renamed(t.name) or t.name,
            aliases=(chosen.name,) if t is chosen else t.aliases,
            parent=renamed(t.parent),
            source=renamed(t.source),
            like=renamed(t.like),
            depends_on=tuple(renamed(d) or d for d in t.depends_on),
        )
        for t in program
    )


_EDITS: tuple[Callable[[random.Random, Program, bool], Program], ...] = (
    _add,
    _drop,
    _drop,
    _rename,
    _change(_resize),
    _change(_resize),
    _change(_retag),
    _change(_renumber),
    _change(_renumber),
    _change(_other_name),
    _change(_other_name),
    _change(lambda chance, t: replace(t, retain=not t.retain)),
    _change(lambda chance, t: replace(t, ignore=chance.choice(((), ("size",), ("tags.env",), ("tags",))))),
    _change(lambda chance, t: replace(t, replace_on=chance.choice(((), ("size",), ("tags",))))),
    _change(lambda chance, t: replace(t, password=t.password and "hunter-two")),
)
