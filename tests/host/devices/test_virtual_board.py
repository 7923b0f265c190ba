"""A whole board, simulated at the pins of its serial line, trained through pyserial."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from boards.board import board
from host.commands import board_commands
from host.commands.cli import app
from host.devices.device import open_device
from host.devices.link_device import LinkDevice
from host.devices.serial_device import WINDOW
from host.devices.sim_device import SimulationTransport
from host.devices.virtual_board import Terminal, open_board
from hw.isa import CHECKSUM_BYTES, FRAME_HEADER_BYTES, Region, Register, SampleFormat
from hw.uart import FRAME_BITS

NAME = "icebreaker"

pytestmark = pytest.mark.simulator


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    """A virtual board that is served while the tests run."""
    ended = threading.Event()
    with open_board(NAME, report=print) as simulation:
        there = Terminal(simulation)
        thread = threading.Thread(target=there.serve, args=(ended.is_set,))
        thread.start()
        yield there
        ended.set()
        thread.join()
        there.close()


@pytest.mark.long
def test_a_run_on_iris_is_goldens(terminal: Terminal, tmp_path) -> None:
    device = f"serial:{terminal.port}@{NAME}"
    arguments = ["train", "examples/iris_small.toml", "--epochs", "3", "--verify"]
    result = CliRunner().invoke(app, [*arguments, "--device", device, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "replayed on golden: identical" in result.output


def test_devices_tells_the_board(terminal: Terminal, monkeypatch) -> None:
    monkeypatch.setattr(board_commands, "out", Console(width=200))
    result = CliRunner().invoke(app, ["devices", terminal.port])
    assert result.exit_code == 0 and "up5k-4x2" in result.output and NAME in result.output


def test_words_return_and_every_byte_has_its_time(terminal: Terminal) -> None:
    config = board(NAME).config
    words = np.arange(-128, 128, dtype=np.int16)
    received, sent = terminal.received, terminal.sent
    cycles = terminal.cycles
    with open_device(f"serial:{terminal.port}@{NAME}", config) as device:
        device.write(Region.WEIGHT, 0, words)
        assert np.array_equal(device.read(Region.WEIGHT, 0, 256), words.view(np.uint16))
    took = terminal.cycles - cycles
    moved = max(terminal.received - received, terminal.sent - sent)
    assert moved > 2 * len(words)
    assert took >= moved * FRAME_BITS * board(NAME).divisor


def test_streaming_keeps_the_line_busy() -> None:
    """A host that loses no time fills the line; in bit times, so that no machine is too slow."""
    found = board(NAME)
    config, byte_cycles = found.config, FRAME_BITS * found.divisor
    features = config.lanes * 2
    samples = config.input_tiles * config.lanes * config.batch_lanes // features
    batch = bytes(2 * features * samples)

    class Line(SimulationTransport):
        window = WINDOW
        sent = 0

        def send(self, data: bytes) -> None:
            self.sent += len(data)
            super().send(data)

    with open_board(NAME, report=print) as simulation:
        line = Line(simulation)
        device = LinkDevice(line, config)
        wide = 1 << SampleFormat.WIDE_INPUT
        device.write(Region.REGISTERS, Register.FEATURES, [features, 0, wide, features // 4])
        before, line.sent = simulation.cycles, 0
        device.stream(batch)
        took = simulation.cycles - before
        frames = -(-len(batch) // config.frame_payload)
        assert line.sent == len(batch) + frames * (FRAME_HEADER_BYTES + CHECKSUM_BYTES)
        share = line.sent * byte_cycles / took
        print(f"{share:.1%} of the line's time, {len(batch) * byte_cycles / took:.1%} with samples")
        assert share >= 0.9


def test_an_unknown_board_is_refused() -> None:
    result = CliRunner().invoke(app, ["virtual-board", "icebraker"])
    assert result.exit_code == 2 and "board must be one of" in result.output
