"""Device configurations: what one refuses, and that the named ones are of their kind."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from hw.config import OPTIONS, SUPERVISED_TILES, DeviceConfig
from hw.configurations import CONFIGURATIONS

SERIAL, PARALLEL = CONFIGURATIONS["up5k-4x2"], CONFIGURATIONS["ecp5-8x8"]
SPRAM = CONFIGURATIONS["up5k-4x2-spram"]


def changes(names: Iterable[str], value: Any) -> dict[str, Any]:
    """The same value for each of the fields."""
    return dict.fromkeys(names, value)


def test_only_those_of_the_smallest_parts_are_serial() -> None:
    serial = {name for name, config in CONFIGURATIONS.items() if config.serial}
    small = {"up5k-4x2", "up5k-4x2-spram", "ecp5-4x2", "gw1n-4x2", "up5k-2-spiking"}
    assert serial == small


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *(({option: True}, f"{option} of .* must be off in a serial") for option in OPTIONS),
        ({"rate_width": 9}, "rate_width of .* must be 8 in a serial device, not 9"),
        ({"input_tiles": 48}, "input_tiles of .* must be a power of two in a serial device"),
        ({"target_tiles": 3}, "target_tiles of .* must be a power of two in a serial device"),
    ],
)
def test_serial_refuses_what_it_cannot(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SERIAL, **change)
    # The same is fine in a device that is not.
    parallel = {"serial": False, "cross_entropy": True, "sigmoid": True}
    assert not replace(SERIAL, **{**parallel, **change}).serial


def test_serial_takes_any_size_of_the_other_memories() -> None:
    memories = ("weight_tiles", "activation_tiles", "output_tiles", "delta_tiles")
    config = replace(SERIAL, **changes(memories, 37))
    assert config.delta_tiles == 37


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lanes": 4, "batch_lanes": 2}, "lanes of .* must be 2 in a serial device with a spiking"),
        ({"expansion_inputs": 64}, "expansion_inputs of .* must be 0 in a serial device, not 64"),
        (
            {"supervised": True, **changes(SUPERVISED_TILES, 8), "rate_width": 8},
            "state_rows of .* must be 0 in a serial device with a supervised half, not 512",
        ),
    ],
)
def test_serial_neurons_refuse_what_they_cannot(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIGURATIONS["up5k-2-spiking"], **change)


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (PARALLEL, {"weights_in_spram": True}, "must be off unless the device is serial with a"),
        (CONFIGURATIONS["up5k-2-spiking"], {"weights_in_spram": True}, "must be off unless .* sup"),
        (SPRAM, {"family": "ecp5"}, "family of .* must be ice40, or .* in SPRAM, not 'ecp5'"),
        (SPRAM, {"lanes": 8}, "lanes of .* must be at most 4 with weights in SPRAM, .* not 8"),
        (SPRAM, {"weight_tiles": 4097}, "must be at most 4096 with weights in SPRAM, not 4097"),
        (SPRAM, {"lanes": 0}, "lanes of .* must be 2, 4, 8, 16 or 32, not 0"),
    ],
)
def test_spram_refuses_what_it_cannot(config: DeviceConfig, change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(config, **change)


def test_spram_is_of_one_family_and_has_a_twin() -> None:
    assert [config for config in CONFIGURATIONS.values() if config.weights_in_spram] == [SPRAM]
    assert SPRAM.with_family("behavioural").weights_in_spram
    block_ram = replace(SPRAM, weights_in_spram=False, family="ecp5", lanes=8, weight_tiles=5000)
    assert block_ram.serial


def test_parallel_is_made_serial_without_its_options() -> None:
    with pytest.raises(ValueError, match="'ecp5-8x8' must be"):
        replace(PARALLEL, serial=True)
    assert replace(PARALLEL, serial=True, rate_width=8, **changes(OPTIONS, False)).serial


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lanes": 6}, "lanes of configuration 'up5k-4x2' must be 2, 4, 8, 16 or 32, not 6"),
        ({"batch_lanes": 8}, "batch_lanes of .* must be a power of two from 2 to lanes = 4, not 8"),
        ({"accumulator_width": 32}, "accumulator_width of .* must be from 33 to 48, not 32"),
        ({"output_tiles": 0}, "output_tiles of .* must be from 1 to 65535, not 0"),
        ({"frame_payload": 100}, "frame_payload of .* must be a power of two from 64 to 4096"),
        ({"family": "xilinx"}, "family of .* must be one of"),
    ],
)
def test_refuses_bad_sizes(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SERIAL, **change)


def test_longest_dot_product_fits_an_accumulator() -> None:
    for config in CONFIGURATIONS.values():
        largest = (config.max_depth + 1) << 30
        assert largest < 1 << (config.accumulator_width - 1)
        assert largest + (1 << 31) > 1 << (config.accumulator_width - 1)
