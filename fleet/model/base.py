"""The base of every inventory model, and the scalar types they share."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, Strict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A frozen inventory value: unknown keys are errors, text is never read as a number or the reverse.

    YAML keys are camelCase (as in Kubernetes and ARM), attributes snake_case.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, use_attribute_docstrings=True
    )


def _address_text(value: object) -> object:
    if isinstance(value, IPv4Address):
        return value
    if not isinstance(value, str):
        raise ValueError("an IPv4 address is text, such as 10.0.0.4")
    try:
        return IPv4Address(value)
    except ValueError:
        raise ValueError(f"{value!r} is not an IPv4 address, such as 10.0.0.4") from None


def _network_text(value: object) -> object:
    if isinstance(value, IPv4Network):
        return value
    if not isinstance(value, str) or "/" not in value:
        raise ValueError("a network is text with a prefix length, such as 10.0.0.0/24")
    try:
        return IPv4Network(value)
    except ValueError:
        pass
    try:
        meant = IPv4Network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is not an IPv4 network, such as 10.0.0.0/24") from None
    raise ValueError(f"{value!r} names a host inside a network; the network is {meant}")


IPv4 = Annotated[IPv4Address, BeforeValidator(_address_text), PlainSerializer(str)]
Cidr = Annotated[IPv4Network, BeforeValidator(_network_text), PlainSerializer(str)]

DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
"""A Kubernetes name: RFC 1123 label."""

Guid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
"""A lower-case GUID, as Azure prints subscription and tenant ids."""

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
