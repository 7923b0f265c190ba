"""Serial ports: a run over one equals golden's on good lines and bad ones, and errors say why."""

import errno
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import tty
from pathlib import Path

import numpy as np
import pytest
import serial
from rich.console import Console
from typer.testing import CliRunner

from host import data
from host.commands import board_commands
from host.commands.cli import app
from host.devices import serial_device
from host.devices.device import DeviceError, open_device
from host.devices.serial_device import SerialTransport, parse_place
from host.devices.serial_ports import build_name
from host.layers import Dense, build_network
from host.plan import Plan, make_plan
from host.trainer import Trainer
from host.training.rules import SGD
from hw.build_identity import build_identity
from hw.configurations import configuration
from hw.isa import Region
from sim.compare import read_state
from tests.host.devices.line import simulated_line

CONFIG = configuration("up5k-4x2")


def iris_plan(epochs: int = 2) -> Plan:
    flowers = data.prepare(
        *data.SOURCES["iris"](0), classes=True, scaling="z-score", test_size=0.2, seed=0
    )
    network = build_network(4, [Dense(8, "relu"), Dense(3)], loss="mse", classes=True)
    rule = SGD(2**-5, momentum=0)
    split = (flowers.train, flowers.test)
    return make_plan(network, rule, CONFIG, *split, epochs=epochs, batch_size=8, seed=3)


def trained(spec: str, plan: Plan):
    """The whole state of the device after the plan, and the accuracies on the way."""
    with open_device(spec, CONFIG) as device:
        trainer = Trainer(device, plan)
        trainer.load()
        accuracies = [report.test_accuracy for report in trainer.reports()]
        return read_state(device), accuracies


def assert_trains_as_golden(port: str, plan: Plan) -> None:
    expected, accuracies = trained("golden", plan)
    assert accuracies[-1] > 0.5
    state, found = trained(f"serial:{port}", plan)
    assert found == accuracies
    for region, words in expected.items():
        assert np.array_equal(state[region], words), region


@pytest.mark.simulator
def test_trains_as_golden():
    with simulated_line(CONFIG) as line:
        assert_trains_as_golden(line.port, iris_plan())
        assert (line.overrun, line.damaged, line.lost) == (0, 0, 0)


@pytest.mark.simulator
def test_the_device_holds_a_window_and_no_more(monkeypatch):
    """Short requests with long answers pile up fastest."""
    for window, fits in ((serial_device.WINDOW, True), (serial_device.WINDOW + 2, False)):
        monkeypatch.setattr(SerialTransport, "window", window)
        with simulated_line(CONFIG) as line, open_device(f"serial:{line.port}", CONFIG) as device:
            words = device.read(Region.WEIGHT, 0, 500)
        assert not words.any()
        assert (line.overrun == 0) == fits


@pytest.mark.simulator
@pytest.mark.long
def test_a_bad_line_changes_no_bit():
    with simulated_line(CONFIG, seed=2) as line:
        line.chance = 1e-3
        assert_trains_as_golden(line.port, iris_plan(1))
        print(f"{line.damaged} bytes damaged, {line.lost} lost")
        assert line.damaged > 3 and line.lost > 3


INTERRUPTED = """
    import sys, time
    from tests.host.devices.test_serial_device import CONFIG, iris_plan, open_device
    from host.devices.framing import encode_request
    from host.program import Mode
    from host.trainer import Trainer
    from hw.isa import Request

    plan = iris_plan()
    device = open_device(sys.argv[1], CONFIG)
    trainer = Trainer(device, plan)
    trainer.load()
    samples = trainer._begin_epoch()
    device.run(plan.compiled.entry(Mode.TRAIN, plan.batch_size), 5)
    device.stream(samples.batch(0, plan.batch_size))
    device.stream(samples.batch(0, plan.batch_size)[:10], end=False)
    device._transport.send(encode_request(Request.SAMPLES, 7, bytes(50))[:30])
    print("running", flush=True)
    time.sleep(600)
"""


@pytest.mark.simulator
def test_a_killed_host_leaves_a_device_that_the_next_can_use():
    with simulated_line(CONFIG, seed=3) as line:
        command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), f"serial:{line.port}"]
        root = Path(__file__).parents[3]
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) as host:
            assert host.stdout is not None and host.stdout.readline() == b"running\n"
            host.send_signal(signal.SIGKILL)
        assert_trains_as_golden(line.port, iris_plan(1))


@pytest.fixture
def terminal():
    """Both ends of a line that nobody serves: a descriptor and the name of a port."""
    far, near = os.openpty()
    tty.setraw(near)
    ends = [far, near]
    yield ends, os.ttyname(near)
    for end in ends:
        os.close(end)


def test_a_silent_port_is_reported(terminal):
    _, port = terminal
    with pytest.raises(DeviceError, match=r"no intact answer.* within 0\.25 s, asked 8 times"):
        open_device(f"serial:{port}", CONFIG)
    # It is given up, so another may open it.
    SerialTransport(port, frame_payload=64).close()


def test_what_came_before_is_dropped(terminal):
    (far, _), port = terminal
    os.write(far, b"from an earlier program")
    transport = SerialTransport(port, frame_payload=64)
    assert transport.receive(1) == b""
    os.write(far, b"answer")
    assert transport.receive(6) == b"answer"
    os.write(far, b"part")
    assert transport.receive(6) == b"part"
    transport.close()


def test_an_unplugged_board_is_reported(terminal):
    ends, port = terminal
    transport = SerialTransport(port, frame_payload=64)
    os.close(ends.pop(0))
    with pytest.raises(DeviceError, match=f"{port} is gone .*unplugged"):
        transport.send(b"request")
        transport.receive(1)
    transport.close()


@pytest.mark.simulator
def test_devices_are_found(terminal, monkeypatch):
    _, silent = terminal
    with simulated_line(CONFIG) as line:
        monkeypatch.setattr(serial_device, "ports", lambda: [])
        monkeypatch.setattr(board_commands, "out", Console(width=300))
        found = CliRunner().invoke(app, ["devices", line.port, silent, "--baud", "1000000"])
        assert found.exit_code == 0
        answered, unanswered = found.stdout.splitlines()[1:]
        identity = build_identity(CONFIG)
        words = [line.port, "1,000,000", identity.hex(), *build_name(identity).split()]
        assert answered.split() == words
        assert re.match(rf"{silent} +- +- +no intact answer .* within 0\.26 s", unanswered)


def test_no_port_is_no_error(monkeypatch):
    monkeypatch.setattr(serial_device, "ports", lambda: [])
    found = CliRunner().invoke(app, ["devices"])
    assert found.exit_code == 0 and "no serial ports" in found.stdout


def test_another_build_is_called_one():
    assert build_name(build_identity(configuration("ecp5-8x8-full"))) == "ecp5-8x8-full"
    named = build_name(build_identity(configuration("ecp5-8x8")))
    assert named == "ecp5-8x8 (orangecrab_85f, ulx3s_85f)"
    assert build_name(bytes(16)).startswith("another build")


def test_a_port_in_use_is_refused(terminal):
    _, port = terminal
    transport = SerialTransport(port, frame_payload=64)
    with pytest.raises(DeviceError, match=f"{port} is in use by another program"):
        SerialTransport(port, frame_payload=64)
    transport.close()


def test_a_port_that_is_none_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(serial_device, "ports", lambda: ["/dev/ttyACM0", "/dev/ttyUSB1"])
    with pytest.raises(DeviceError, match="/nowhere is not there; ports here: /dev/ttyACM0, /dev"):
        open_device("serial:/nowhere", CONFIG)
    monkeypatch.setattr(serial_device, "ports", list)
    with pytest.raises(DeviceError, match="not there; this machine has no serial port now"):
        open_device("serial:/nowhere", CONFIG)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(DeviceError, match="file cannot be opened at 9600 baud"):
        open_device(f"serial:{file}@9600", CONFIG)


def test_a_port_that_is_forbidden_names_its_group(monkeypatch):
    def refuse(*arguments, **options):
        raise serial.SerialException(errno.EACCES, "could not open port")

    monkeypatch.setattr(serial, "Serial", refuse)
    with pytest.raises(DeviceError, match="belongs to the group 'root': `sudo usermod -aG root"):
        open_device("serial:/dev/null", CONFIG)


def test_places():
    assert parse_place("/dev/ttyUSB1") == ("/dev/ttyUSB1", 1_000_000)
    assert parse_place("/dev/ttyUSB1", 3_000_000) == ("/dev/ttyUSB1", 3_000_000)
    assert parse_place("/dev/ttyUSB1@115200", 3_000_000) == ("/dev/ttyUSB1", 115_200)
    for wrong in ("", "@9600", "/dev/ttyUSB1@", "/dev/ttyUSB1@fast", "/dev/ttyUSB1@0"):
        with pytest.raises(ValueError, match="must be"):
            parse_place(wrong)


def test_patience_covers_the_answers_of_a_window(terminal):
    _, port = terminal
    slow = SerialTransport(port, baud=9600, frame_payload=512)
    assert slow.seconds > 2 * 512 * 10 / 9600
    assert slow.patience == "1.3 s"
    slow.pause(0)
    started = time.monotonic()
    assert slow.receive(1) == b""
    assert time.monotonic() - started >= slow.seconds
    slow.close()


