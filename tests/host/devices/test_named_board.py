"""A board in the name of a device decides the configuration, and the rate of its serial line."""

import pytest

from boards.board import board
from host.devices.device import open_device
from host.devices.named_board import named_board, named_configuration
from host.devices.serial_device import DEFAULT_BAUD, parse_place
from hw.configurations import configuration


@pytest.mark.parametrize("spec", ["golden", "sim", "netlist", "serial:/dev/x", "serial:x@9600"])
def test_most_names_have_no_board(spec: str) -> None:
    assert named_board(spec) is None
    assert named_configuration([spec, "golden"]) is None


@pytest.mark.parametrize("spec", ["netlist:icebreaker", "serial:/dev/x@icebreaker"])
def test_a_board_decides_the_configuration(spec: str) -> None:
    assert named_board(spec) == board("icebreaker")
    assert named_configuration(["golden", spec]) == "up5k-4x2"


def test_a_board_decides_the_rate() -> None:
    assert parse_place("/dev/x") == ("/dev/x", DEFAULT_BAUD)
    assert parse_place("/dev/x@9600") == ("/dev/x", 9600)
    assert parse_place("/dev/x@icebreaker") == ("/dev/x", board("icebreaker").baud)


@pytest.mark.parametrize("spec", ["netlist:icebraker", "serial:/dev/x@icebraker"])
def test_a_board_that_is_not_there_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="board must be one of .*icebreaker.*, not 'icebraker'"):
        open_device(spec, configuration("up5k-4x2"))


@pytest.mark.parametrize("spec", ["netlist:icebreaker", "serial:/dev/x@icebreaker"])
def test_another_configuration_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="iCEBreaker, up5k-4x2, not ecp5-8x8"):
        open_device(spec, configuration("ecp5-8x8"))


def test_devices_of_different_configurations_are_refused() -> None:
    with pytest.raises(ValueError, match="but netlist:icebreaker has up5k-4x2, .* has gw1n-4x2"):
        named_configuration(["netlist:icebreaker", "serial:/dev/x@tang_nano_9k"])
