"""The catalogue of runtimes, schedulers and cards knows every name that an inventory can say."""

from typing import Any, get_args

import pytest

from fleet import catalog
from fleet.model.inference import InferenceDeployment
from fleet.model.supply import ModelPackage
from validators.inference import BYTES_OF_16_BIT
from validators.shares import profile_size


def choices(model: Any, field: str) -> set[str]:
    """The texts that a field takes."""
    found: set[str] = set()
    todo = [model.model_fields[field].annotation]
    while todo:
        for part in get_args(todo.pop()):
            if isinstance(part, str):
                found.add(part)
            elif part is not type(None):
                todo.append(part)
    return found


def test_every_runtime_and_what_it_serves_is_known() -> None:
    runtimes = catalog.serving().runtimes
    assert set(runtimes) == choices(InferenceDeployment, "runtime")
    for runtime in runtimes.values():
        assert set(runtime.modalities) <= choices(InferenceDeployment, "modality")


@pytest.mark.parametrize("model", [InferenceDeployment, ModelPackage])
def test_every_execution_provider_is_known(model: Any) -> None:
    providers = catalog.serving().providers
    assert set(providers) == choices(model, "execution_provider")
    for provider in providers.values():
        assert set(provider.accelerators) <= choices(InferenceDeployment, "accelerator")


def test_every_precision_has_a_size() -> None:
    both = choices(InferenceDeployment, "precision") | choices(ModelPackage, "precision")
    assert set(BYTES_OF_16_BIT) == both


def test_a_card_can_be_cut_into_each_of_its_profiles() -> None:
    for card in catalog.gpu_models().values():
        assert bool(card.mig) == bool(card.mig_slices)
        for profile in card.mig:
            size = profile_size(profile)
            assert size is not None
            assert size[0] <= card.mig_slices


@pytest.mark.parametrize("text", ["", "1g", "1g.24gb+me", "g.24gb", "1c.2g.48gb", "-1g.24gb"])
def test_what_kai_does_not_count_is_no_profile(text: str) -> None:
    """gpu-facts 1.11: media extensions and compute instances are not parsed."""
    assert profile_size(text) is None


def test_shares_are_shares() -> None:
    serving = catalog.serving()
    assert 0 < serving.node_memory < 1
    assert 0 < serving.goodput < 1
    assert serving.package_least < 1 < serving.package_most
