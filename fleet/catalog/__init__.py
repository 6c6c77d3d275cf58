"""Facts about Azure Local, GPUs and models: YAML with sources, read once and typed.

"facts" in a `source` is the project's sourced fact sheet on Azure Local, "gpu-facts" the one on GPUs
(docs/sources.md says where each of their numbers was read).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from ipaddress import IPv4Network
from types import MappingProxyType
from typing import Any

import yaml

from fleet.model.fleet import ModelCard


@dataclass(frozen=True, slots=True)
class GpuModel:
    """A card: memory in GiB as vLLM may use it, and the MIG profiles it can be cut into."""

    name: str
    memory_gib: float
    mig: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VmSize:
    """A VM size of AKS on Azure Local: vCPUs, memory in GiB, GPUs of one model."""

    name: str
    vcpus: int
    memory_gib: int
    gpu: str | None
    gpus: int
    control_plane: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers that Azure Local's own validator checks (facts 1.6, 1.7)."""

    infra_pool_min: int
    infra_pool_max: int
    service_cidr: IPv4Network


def _read(name: str) -> dict[str, Any]:
    text = (resources.files(__name__) / name).read_text(encoding="utf-8")
    data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader
    assert isinstance(data, dict)
    return data


@cache
def built_in_models() -> Mapping[str, ModelCard]:
    """The models that every fleet knows, by name."""
    cards = _read("models.yaml")["models"]
    return MappingProxyType({name: ModelCard.model_validate(card) for name, card in sorted(cards.items())})


@cache
def gpu_models() -> Mapping[str, GpuModel]:
    """GPU models by name."""
    rows = _read("gpus.yaml")["gpus"]
    return MappingProxyType(
        {
            name: GpuModel(name, float(row["memoryGib"]), tuple(row.get("mig", ())))
            for name, row in sorted(rows.items())
        }
    )


@cache
def vm_sizes() -> Mapping[str, VmSize]:
    """VM sizes of AKS on Azure Local by name."""
    rows = _read("vm-sizes.yaml")["sizes"]
    return MappingProxyType(
        {
            name: VmSize(
                name,
                row["vcpus"],
                row["memoryGib"],
                row.get("gpu"),
                row.get("gpus", 0),
                row.get("controlPlane", False),
            )
            for name, row in sorted(rows.items())
        }
    )


@cache
def azure() -> Mapping[str, Any]:
    """Azure API versions, role definition ids and resource providers (azure.yaml)."""
    return MappingProxyType(_read("azure.yaml"))


@cache
def limits() -> Limits:
    """The limits of Azure Local and AKS Arc."""
    row = _read("azure.yaml")["limits"]
    return Limits(row["infraPoolMin"], row["infraPoolMax"], IPv4Network(row["serviceCidr"]))
