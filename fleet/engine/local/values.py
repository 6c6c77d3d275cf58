"""Property values: between Pulumi's wire form (protobuf structs), Python, and what a person may see.

A value is plain JSON, plus three things that JSON has not: `UNKNOWN_VALUE`, `Secret` (its plain value is
at hand) and `SealedSecret` (only its ciphertext, from the state). A secret stays sealed until its plain
value is truly needed, so a preview whose secrets do not change never asks for the passphrase.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct, Value  # type: ignore[import-untyped]

from fleet.ports.engine import SECRET, UNKNOWN, UnsupportedByLocalEngine

# The constants below are Pulumi's: sdk/go/common/resource/sig/sig.go and .../plugin/rpc.go.
SIGNATURE_KEY: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 -- a marker
_UNSUPPORTED_SIGNATURES: Final = {
    "c44067f5952c0a294b673a41bacd8c17": "an asset",
    "0def7320c3a5731c473e5ecbe6d01bc7": "an archive",
    "5cf8f73096256a8f31e491e813e4eb8e": "a resource reference",
    "d0e6a833031e9bbcd3f4e8bde6ca49a4": "an output value",
}
UNKNOWN_WIRE: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWN_WIRES: Final = frozenset(
    {
        UNKNOWN_WIRE,  # string
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)

# A random text, so that no value of a program is taken for one.
_SEALED_PREFIX: Final = "sealed-0d5f8e0e-52a6-4cf4-9d0c-3a5b8f1c6c7e:"


class Unknown:
    """The type of `UNKNOWN_VALUE`."""

    def __repr__(self) -> str:
        return UNKNOWN


UNKNOWN_VALUE: Final = Unknown()
"""A value that is known only after an effect. Compare with `is`."""


@dataclass(frozen=True)
class Secret:
    """A secret whose plain value is known."""

    plain: Any

    def __repr__(self) -> str:
        return SECRET


@dataclass(frozen=True)
class SealedSecret:
    """A secret as the state keeps it. Two are equal when their ciphertexts are."""

    ciphertext: str

    def __repr__(self) -> str:
        return SECRET


def from_struct(struct: Struct) -> dict[str, Any]:
    """Read a property bag that came over the protocol, keys sorted (a protobuf map has no order).

    Nulls are dropped, as the Pulumi engine does.

    Raises `UnsupportedByLocalEngine` for assets, archives, resource references and output values.
    """
    return {key: _from_wire(value) for key, value in sorted(struct.fields.items()) if not _is_null(value)}


def _is_null(value: Value) -> bool:
    return value.WhichOneof("kind") in (None, "null_value")


def _from_wire(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        if text in _UNKNOWN_WIRES:
            return UNKNOWN_VALUE
        if text.startswith(_SEALED_PREFIX):
            return SealedSecret(text.removeprefix(_SEALED_PREFIX))
        return text
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_from_wire(item) for item in value.list_value.values]
    if kind == "struct_value":
        return _from_wire_object(value.struct_value)
    return None


def _from_wire_object(struct: Struct) -> Any:
    signature = struct.fields[SIGNATURE_KEY].string_value if SIGNATURE_KEY in struct.fields else ""
    if signature == SECRET_SIGNATURE:
        inner = _from_wire(struct.fields["value"])
        # A secret that is not known yet is an unknown first: there is nothing to hide or to compare.
        if inner is UNKNOWN_VALUE or isinstance(inner, Secret | SealedSecret):
            return inner
        return Secret(inner)
    if signature in _UNSUPPORTED_SIGNATURES:
        raise UnsupportedByLocalEngine(f"{_UNSUPPORTED_SIGNATURES[signature]} as a property value")
    return from_struct(struct)


def to_struct(values: Mapping[str, Any], *, keep_secrets: bool = True) -> Struct:
    """Write a property bag for the protocol.

    A sealed secret travels as a stand-in that `from_struct` turns back; whoever needs the plain value
    opens it before (`StackSecrets.open`). Without `keep_secrets` plain values are sent unmarked, for a
    provider that does not accept secrets.
    """
    struct = Struct()
    for key, value in values.items():
        struct.fields[key].CopyFrom(_to_wire(value, keep_secrets))
    return struct


def _to_wire(value: Any, keep_secrets: bool) -> Value:
    if value is None:
        return Value(null_value=0)
    if value is UNKNOWN_VALUE:
        return Value(string_value=UNKNOWN_WIRE)
    if isinstance(value, Secret | SealedSecret):
        plain = value.plain if isinstance(value, Secret) else _SEALED_PREFIX + value.ciphertext
        if not keep_secrets:
            return _to_wire(plain, keep_secrets)
        marked = Struct()
        marked.fields[SIGNATURE_KEY].string_value = SECRET_SIGNATURE
        marked.fields["value"].CopyFrom(_to_wire(plain, keep_secrets))
        return Value(struct_value=marked)
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, int | float):
        return Value(number_value=value)
    if isinstance(value, str):
        return Value(string_value=value)
    wire = Value()
    if isinstance(value, Mapping):
        wire.struct_value.CopyFrom(to_struct(value, keep_secrets=keep_secrets))
    else:
        wire.list_value.values.extend(_to_wire(item, keep_secrets) for item in value)
        if not value:
            wire.list_value.SetInParent()
    return wire


def transform(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """Copy a value with `leaf` applied to each secret, sealed secret, unknown and scalar in it."""
    if isinstance(value, Mapping):
        return {key: transform(item, leaf) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [transform(item, leaf) for item in value]
    return leaf(value)


def mask(value: Any) -> Any:
    """Turn a value into JSON that a person may see: secrets and unknowns become words."""

    def hide(leaf: Any) -> Any:
        if isinstance(leaf, Secret | SealedSecret):
            return SECRET
        return UNKNOWN if leaf is UNKNOWN_VALUE else leaf

    return transform(value, hide)


def leaves(value: Any) -> Iterator[Any]:
    """Every secret, sealed secret, unknown and scalar in a value, secrets not entered."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def contains_unknown(value: Any) -> bool:
    """Whether any part of a value, inside secrets too, is not known yet."""
    return any(
        leaf is UNKNOWN_VALUE or (isinstance(leaf, Secret) and contains_unknown(leaf.plain))
        for leaf in leaves(value)
    )


def contains_secret(value: Any) -> bool:
    """Whether any part of a value is a secret, sealed or not."""
    return any(isinstance(leaf, Secret | SealedSecret) for leaf in leaves(value))


def contains_plain_secret(value: Any) -> bool:
    """Whether writing this value needs the passphrase: it holds a secret that is not sealed yet."""
    return any(isinstance(leaf, Secret) for leaf in leaves(value))


def without_unknowns(value: Any) -> Any:
    """Copy a value without its unknown parts: a state may not hold one."""
    if isinstance(value, Mapping):
        return {k: without_unknowns(v) for k, v in value.items() if not _is_unknown(v)}
    if isinstance(value, list | tuple):
        return [without_unknowns(v) for v in value if not _is_unknown(v)]
    return value


def _is_unknown(value: Any) -> bool:
    return value is UNKNOWN_VALUE or (isinstance(value, Secret) and contains_unknown(value.plain))


def mark_secret(values: dict[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """Copy a property bag with the named top-level properties made secret (additionalSecretOutputs)."""
    return {
        key: Secret(reveal(value)) if key in keys and not _hidden(value) else value
        for key, value in values.items()
    }


def annotate_secrets(outputs: Any, inputs: Any) -> Any:
    """Copy outputs with every value made secret that echoes a secret input, at the same path.

    The Pulumi engine does the same for providers that do not keep secrets themselves.
    """
    if isinstance(inputs, Secret | SealedSecret):
        return outputs if outputs is None or _hidden(outputs) else Secret(reveal(outputs))
    if isinstance(outputs, dict) and isinstance(inputs, dict):
        return {key: annotate_secrets(value, inputs.get(key)) for key, value in outputs.items()}
    if isinstance(outputs, list) and isinstance(inputs, list) and len(outputs) == len(inputs):
        return [annotate_secrets(o, i) for o, i in zip(outputs, inputs, strict=True)]
    return outputs


def _hidden(value: Any) -> bool:
    return value is UNKNOWN_VALUE or isinstance(value, Secret | SealedSecret)


def reveal(value: Any) -> Any:
    """Copy a value with plain secrets unwrapped. Sealed secrets stay as they are."""
    return transform(value, lambda leaf: reveal(leaf.plain) if isinstance(leaf, Secret) else leaf)
