"""The base of every inventory model, and the scalar types they share."""

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    Strict,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A frozen inventory value: unknown keys are errors, text is never read as a number or the reverse.

    YAML keys are camelCase (as in Kubernetes and ARM), attributes snake_case.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, defer_build=True
    )


class SharedValues:
    """What sites inherit unchanged, so that each of it is validated once; given as validation context.

    `raw` are the values that sites share: every mapping in them is known by its identity, and is kept, so
    that no other one can take that identity. One object is for one validation of one fleet.
    """

    def __init__(self, raw: Iterable[object] = ()) -> None:
        self._raw: dict[int, object] = {}
        self._models: dict[tuple[type, int], Any] = {}
        for value in raw:
            self.add(value)

    def add(self, raw: object) -> None:
        """Mappings in `raw` will be met again, unchanged."""
        if isinstance(raw, dict):
            if id(raw) in self._raw:
                return
            self._raw[id(raw)] = raw
            for value in raw.values():
                self.add(value)
        elif isinstance(raw, list):
            for value in raw:
                self.add(value)

    def model(self, kind: type, raw: object, validate: ModelWrapValidatorHandler[Any]) -> Any:
        """The model of class `kind` for `raw`: the one made before, where `raw` is shared."""
        key = (kind, id(raw))
        known = self._models.get(key)
        if known is None:
            known = validate(raw)
            if key[1] in self._raw:
                self._models[key] = known
        return known


class Shared(Model):
    """A group of values that most sites inherit as a whole: they then hold the same frozen object.

    Only with a `SharedValues` as validation context (loading an inventory gives one); errors and their
    places are as of any model. For groups in `defaults`, profiles and rings, not for the values that each
    site gives itself: the look-up costs about a microsecond.
    """

    @model_validator(mode="wrap")
    @classmethod
    def _once(cls, data: Any, handler: ModelWrapValidatorHandler["Shared"], info: ValidationInfo) -> "Shared":
        if isinstance(info.context, SharedValues):
            shared: Shared = info.context.model(cls, data, handler)
            return shared
        return handler(data)


def _address_text(value: object) -> object:
    if isinstance(value, IPv4Address):
        return value
    if not isinstance(value, str):
        raise ValueError("an IPv4 address is text, such as 10.0.0.4")
    try:
        return IPv4Address(value)
    except ValueError:
        raise ValueError(f"{value!r} is not an IPv4 address, such as 10.0.0.4") from None


_PREFIX_LENGTH = re.compile(r"3[0-2]|[12]?[0-9]")


def _network_text(value: object) -> object:
    if isinstance(value, IPv4Network):
        return value
    if not isinstance(value, str) or "/" not in value:
        raise ValueError("a network is text with a prefix length, such as 10.0.0.0/24")
    try:
        meant = IPv4Network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is not an IPv4 network, such as 10.0.0.0/24") from None
    if not _PREFIX_LENGTH.fullmatch(value.partition("/")[2]):
        # Python reads a netmask too (and a wildcard mask, to a network that is seldom meant).
        raise ValueError(f"{value!r} has no prefix length; as one it is {meant}")
    if meant.network_address != IPv4Address(value.partition("/")[0]):
        raise ValueError(f"{value!r} names a host inside a network; the network is {meant}")
    return meant


IPv4 = Annotated[IPv4Address, BeforeValidator(_address_text), PlainSerializer(str)]
Cidr = Annotated[IPv4Network, BeforeValidator(_network_text), PlainSerializer(str)]

DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
"""A Kubernetes name: RFC 1123 label."""

Guid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
"""A lower-case GUID, as Azure prints subscription and tenant ids."""

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""A content digest."""

ImageReference = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][-a-z0-9.]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"
    ),
]
"""An image by host, path and tag."""

HostName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*(:[0-9]{1,5})?$")
]
"""A DNS name with an optional port."""

T = TypeVar("T")
Many = Annotated[tuple[T, ...], Strict(False)]
"""A YAML sequence, held as a tuple so that the model stays frozen."""

K = TypeVar("K")
V = TypeVar("V")


def _by_name(value: Mapping[K, V]) -> Mapping[K, V]:
    # A dict, for it can be pickled; read-only by its type.
    return dict(sorted(value.items(), key=lambda item: str(item[0])))


ObjectName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$")]
"""A DNS label of at most 40 characters: names and labels made from it must stay within Kubernetes' 63."""

Named = Annotated[
    Mapping[ObjectName, V],
    AfterValidator(_by_name),
    PlainSerializer(dict),
    Field(default_factory=dict),
]
"""A YAML mapping of named things. A mapping, not a list, so that profiles, rings and sites overlay each
entry by its name; always in the order of the names, so that no output depends on how a file was typed."""

PoolName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{2,11}$")]
"""A node pool's name (facts 1.9)."""

Pools = Annotated[Mapping[PoolName, V], AfterValidator(_by_name), PlainSerializer(dict)]
"""Node pools by name."""

Labels = Annotated[
    Mapping[str, str],
    AfterValidator(_by_name),
    PlainSerializer(dict),
    Field(default_factory=dict),
]
"""Free text keys and values."""

ImageDigests = Annotated[
    Mapping[ImageReference, Digest],
    AfterValidator(_by_name),
    PlainSerializer(dict),
    Field(default_factory=dict),
]
"""Digests of images by the references that somebody else's chart names them by."""
