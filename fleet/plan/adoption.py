"""Taking over what exists: what a program says of a resource, put beside what Azure has. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Path = tuple[str | int, ...]

Standing = Literal["same", "differs", "replace", "create", "owned"]
"""What becomes of a declared resource: it is taken over as it is; it is taken over and the next run changes
it; that run would replace it; it is not there and the next run makes it; the state has it already."""

_WHOLE = frozenset({"tags", "nodeLabels"})
"""Mappings of which the program says everything: what Azure has beside it goes with the next update. Of any
other object Azure tells more than was ever sent, and what of that is a default can't be known here."""
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class Difference:
    """A property that Azure has otherwise. Values are as they may be shown: secrets masked, None for absent.

    `stays` says that no run changes it: Azure fills it in by itself, or it can't be changed once deployed.
    """

    path: str
    azure: Any
    inventory: Any
    stays: bool = False


@dataclass(frozen=True)
class Adoptee:
    """A resource that a site's program declares, and how it stands to what is in Azure.

    `untold` are properties that can't be compared, because Azure never gives them back or they are secret.
    `note` is what else is odd about it: a name of its own, a failed state.
    """

    name: str
    type: str
    id: str
    standing: Standing
    differences: tuple[Difference, ...] = ()
    untold: tuple[str, ...] = ()
    note: str = ""

    @property
    def taken(self) -> bool:
        """Whether adopting the site takes this resource into its state."""
        return self.standing in ("same", "differs")


@dataclass(frozen=True)
class Adoption:
    """A site beside Azure: its resources by name, and ids in its resource group that nothing declares."""

    site: str
    resources: tuple[Adoptee, ...]
    nobodys: tuple[str, ...] = ()

    def of(self, standing: Standing) -> tuple[Adoptee, ...]:
        """The resources that stand so."""
        return tuple(resource for resource in self.resources if resource.standing == standing)

    @property
    def clean(self) -> bool:
        """Whether a plan after the adoption would be empty."""
        return not (self.of("differs") or self.of("replace") or self.of("create"))

    @property
    def taken(self) -> tuple[Adoptee, ...]:
        """What would be taken over."""
        return (*self.of("same"), *self.of("differs"))


def refusal(adoption: Adoption, *, accept_differences: bool) -> str | None:
    """Why a site may not be taken over as it stands; None when it may.

    A difference that the next run would put right is for a person to accept. One that makes that run replace
    a resource is not: what runs there would be gone.
    """
    if replaced := adoption.of("replace"):
        names = ", ".join(resource.name for resource in replaced)
        return f"the next run would delete and make again: {names}; write Azure's values into the inventory"
    if (differing := adoption.of("differs")) and not accept_differences:
        names = ", ".join(resource.name for resource in differing)
        return (
            f"the next run would change: {names}; write Azure's values into the inventory, or add "
            "--accept-differences"
        )
    return None


def as_azure_has(
    said: Mapping[str, Any], there: Mapping[str, Any], fixed: Sequence[str], is_secret: Callable[[Any], bool]
) -> dict[str, Any]:
    """What a program says of a resource, with Azure's value wherever Azure has another one.

    It equals `said` where they agree. What the program says and Azure does not tell is left out, unless it is
    empty, false or zero: Azure drops those. `fixed` are inputs that only name the resource. A secret is kept
    as said: it can't be compared.
    """
    compared = {key: value for key, value in said.items() if key not in fixed}
    result: dict[str, Any] = _value(compared, there, is_secret, "")
    return {key: said[key] if key in fixed else result[key] for key in said if key in fixed or key in result}


def secret_paths(said: Any, is_secret: Callable[[Any], bool], path: str = "") -> tuple[str, ...]:
    """Where a program's values are secret, as dotted paths."""
    if is_secret(said):
        return (path,)
    found: tuple[str, ...] = ()
    if isinstance(said, Mapping):
        for key, value in said.items():
            found += secret_paths(value, is_secret, f"{path}.{key}" if path else str(key))
    elif isinstance(said, list):
        for number, value in enumerate(said):
            found += secret_paths(value, is_secret, f"{path}[{number}]")
    return found


def _value(said: Any, there: Any, is_secret: Callable[[Any], bool], key: str) -> Any:
    if is_secret(said):
        return said
    if isinstance(said, Mapping) and isinstance(there, Mapping):
        return _object(said, there, is_secret, key)
    if isinstance(said, list) and isinstance(there, list) and len(said) == len(there):
        pairs = zip(said, _in_order(said, there), strict=True)
        return [_value(mine, theirs, is_secret, key) for mine, theirs in pairs]
    return said if _agree(said, there, key) else there


def _object(
    said: Mapping[str, Any], there: Mapping[str, Any], is_secret: Callable[[Any], bool], key: str
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in said.items():
        if there.get(name) is not None:
            result[name] = _value(value, there[name], is_secret, name)
        elif _says_nothing(value) or secret_paths(value, is_secret):
            result[name] = value
    if key in _WHOLE:
        result |= {name: value for name, value in there.items() if name not in said}
    return result


def _in_order(said: list[Any], there: list[Any]) -> list[Any]:
    """Azure's items in the order of the program's, where all of them have names; Azure may sort them."""

    def names(items: list[Any]) -> list[str]:
        return [str(item["name"]).lower() for item in items if isinstance(item, Mapping) and "name" in item]

    mine, theirs = names(said), names(there)
    if len(mine) != len(said) or sorted(mine) != sorted(theirs) or len({*mine}) != len(mine):
        return there
    by_name = dict(zip(theirs, there, strict=True))
    return [by_name[name] for name in mine]


def _says_nothing(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_says_nothing, value.values()))
    if isinstance(value, list):
        return all(map(_says_nothing, value))
    return not value


def _agree(said: Any, there: Any, key: str) -> bool:
    """Whether two plain values mean the same to Azure: ids, GUIDs and places are without case."""
    if isinstance(said, bool) or isinstance(there, bool) or not isinstance(said, str | int | float):
        return bool(said == there and type(said) is type(there)) or (_says_nothing(said) and there is None)
    if isinstance(there, str | int | float):
        mine, theirs = str(said), str(there)
        if key == "location":
            return mine.replace(" ", "").lower() == theirs.replace(" ", "").lower()
        if mine.startswith("/subscriptions/") or GUID.fullmatch(mine):
            return mine.lower() == theirs.lower()
        return mine == theirs
    return False
