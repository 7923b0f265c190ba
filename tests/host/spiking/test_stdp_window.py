"""The STDP window: what the formats allow, what is measured, what the command writes and draws."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from host import pictures
from host.commands.terminal import BAD, DIFFERENT, INTERRUPTED
from host.devices.device import DeviceStatus, open_device
from host.spiking.curves import WindowTest
from host.spiking.network import Formats
from host.spiking.rules import PairSTDP
from host.spiking.spike_pair import SpikePair
from hw.configurations import CONFIGURATIONS, configuration
from hw.isa import Region, State
from hw.numbers import Format
from hw.spiking import SynapseParameter
from tests.host.commands.test_cli import call, words

EXAMPLES = Path(__file__).parents[3] / "examples"
CONFIG = configuration("ecp5-8-spiking")
SPIKING = [name for name, config in CONFIGURATIONS.items() if config.spiking]

FILE = """
[data]
name = "generated"
[spiking]
rule = "stdp"
[spiking.encoding]
dt = 0.5
[spiking.neurons]
count = 4
threshold = 0.5
[formats]
weights = "Q0.15"
traces = "Q2.13"
[training.stdp]
learning_rate = 0.02
tau_post = 33.7
bounds = "soft"
"""
PAIR = SpikePair(
    rule=PairSTDP(learning_rate=0.02, tau_post=33.7, bounds="soft"),
    dt=0.5,
    formats=Formats(weight=Format(0, 15), trace=Format(2, 13)),
)
"""What FILE says."""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pairs.toml"
    path.write_text(FILE)
    return path


def measure(pair=PAIR, config=CONFIG, reach=20.0, seed=0, wrap=lambda device: device):
    with open_device("golden", config) as device:
        return WindowTest(pair, config, reach=reach).run(wrap(device), seed=seed)


# What should be


def test_the_exact_change_is_the_exponentials():
    pair = SpikePair(rule=PairSTDP(tau_post=30.0))
    for time in (1.0, 7.0, 50.0):
        up, down = 0.001 * math.exp(-time / 20), 0.00105 * math.exp(-time / 30)
        assert pair.change(time).exact == pytest.approx(up * 2**14, rel=1e-9)
        assert pair.change(-time).exact == pytest.approx(-down * 2**14, rel=1e-9)
    assert pair.change(0).exact == pytest.approx((0.001 - 0.00105) * 2**14, rel=1e-9)


def test_soft_bounds_multiply_by_the_distance():
    pair = SpikePair(rule=PairSTDP(bounds="soft", w_min=-0.5, w_max=1.0))
    assert pair.start == 0.25 * 2**14
    share = math.exp(-0.5)
    assert pair.change(10).exact == pytest.approx(0.001 * share * 0.75 * 2**14, rel=1e-9)
    assert pair.change(-10).exact == pytest.approx(-0.00105 * share * 0.75 * 2**14, rel=1e-9)


def test_a_change_ends_at_the_bound():
    rule = PairSTDP(learning_rate=0.1, a_plus=1.0, w_min=0.4, w_max=0.5)
    low, high = (round(w * 2**14) for w in (0.4, 0.5))
    pair = SpikePair(rule=rule)
    assert pair.change(1).exact == high - pair.start and pair.start == (low + high + 1) // 2
    assert measure(pair, reach=3).measured[-3:].tolist() == [high - pair.start] * 3


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("tau", [1.0, 5.5, 20.0, 300.0])
def test_no_trace_misses_by_more_than_the_bound(tau, soft):
    """The words of the trace, step by step; what is left of the bound is the rounding's 1 LSB."""
    rule = PairSTDP(tau_pre=tau, learning_rate=0.3, bounds="soft" if soft else "additive")
    pair = SpikePair(rule=rule, formats=Formats(trace=Format(2, 13)))
    half, trace, shares = pair.potentiation, pair.one, []
    for step in range(1, 200):
        trace += trace * half.decay >> 15
        change = half.coefficient * trace / 2**16
        if soft:
            change = (half.coefficient * trace >> 15) * (pair.limits[1] - pair.start) / 2**16
        expected = pair.change(step)
        shares.append(abs(change - expected.exact) / (expected.bound - 1))
    assert 0.5 < max(shares) <= 1


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"learning_rate": 1e-5}, "learning_rate a_plus of 1e-06 rounds to 0"),
        ({"learning_rate": 50.0}, "learning_rate a_plus must lie from"),
        ({"tau_pre": 1e6}, "tau_pre of 1e.06 ms is too long for steps of 1 ms"),
        ({"tau_post": 1e6}, "tau_post of 1e.06 ms is too long"),
        ({"w_max": 3.0}, "w_max must lie from -2 to"),
    ],
)
def test_what_no_word_can_hold_is_refused(rule, message):
    with pytest.raises(ValueError, match=message):
        SpikePair(rule=PairSTDP(**rule))


# What is measured


@pytest.mark.parametrize("name", SPIKING)
def test_every_spiking_device_stays_within_the_bounds(name):
    window = measure(config=configuration(name), reach=15)
    assert window.differences.tolist() == np.arange(-15, 15.5, 0.5).tolist()
    assert window.outside == 0 and np.abs(window.deviations).max() > 0.1
    changes = [PAIR.change(difference) for difference in window.differences]
    assert list(zip(window.exact, window.bounds, strict=True)) == changes


@pytest.mark.parametrize("reach", [1, 2, 3, 5])
def test_short_windows_are_the_middle_of_long_ones(reach):
    """Spikes of a lane's pair lie elsewhere among the steps, but the trace is the same."""
    rule = PairSTDP(learning_rate=1.0)
    short, long = (measure(SpikePair(rule=rule), reach=r) for r in (reach, 20))
    middle = slice(20 - reach, 21 + reach)
    assert short.exact.tolist() == long.exact[middle].tolist()
    assert (np.abs(short.measured - long.measured[middle]) <= 2).all() and short.outside == 0


def test_a_seed_decides_the_rounding():
    first, again, other = (measure(seed=seed).measured.tolist() for seed in (3, 3, 4))
    assert first == again != other


def test_a_half_without_amplitude_changes_nothing():
    window = measure(SpikePair(rule=PairSTDP(a_minus=0)))
    assert not window.measured[window.differences < 0].any()
    assert window.measured[window.differences > 0].all()


class Stronger:
    """A device whose potentiation is an eighth stronger than it is told."""

    def __init__(self, device):
        self._device = device

    def __getattr__(self, name):
        return getattr(self._device, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def write(self, region, address, values):
        if region == Region.STATE and address == 0:
            values = values.copy()
            blocks = values.reshape(4, -1)
            blocks[3, SynapseParameter.COEFFICIENT] *= 9 / 8
        self._device.write(region, address, values)


def test_a_wrong_coefficient_lies_outside():
    window = measure(wrap=Stronger)
    wrong = np.abs(window.deviations) > window.bounds
    assert window.outside == wrong.sum() > 10 and not wrong[window.differences < 0].any()
    assert abs(window.deviations[window.worst]) == np.abs(window.deviations).max()


def test_progress_is_told():
    told = []
    with open_device("golden", CONFIG) as device:
        test = WindowTest(PAIR, CONFIG, reach=5)
        test.run(device, measured=lambda *pairs: told.append(pairs))
    assert told == [(8, 21), (16, 21), (21, 21)]


@pytest.mark.parametrize(
    ("config", "reach", "message"),
    [
        ("ecp5-8x8", 20, "an STDP window needs spiking neurons, which ecp5-8x8 leaves out: take"),
        ("ecp5-8-spiking", 0.4, "reach must be at least a time step, 0.5 ms, and finite, not 0.4"),
        ("ecp5-8-spiking", math.nan, "reach must be at least a time step, .* not nan"),
        ("ecp5-8-spiking", math.inf, "reach must be at least a time step, .* not inf"),
        ("ecp5-8-spiking", 1e12, "reach must be below 128 ms on ecp5-8-spiking, .* not 1e.12"),
        ("up5k-2-spiking", 16, "below 16 ms on up5k-2-spiking, .* 32 time steps of 0.5 ms, not 16"),
    ],
)
def test_what_cannot_be_measured_is_refused(config, reach, message):
    with pytest.raises(ValueError, match=message):
        WindowTest(PAIR, configuration(config), reach=reach)


def test_all_of_a_memory_is_used():
    window = measure(config=configuration("up5k-2-spiking"), reach=15.5)
    assert len(window.measured) == 2 * 31 + 1 and not window.outside


# What is drawn


def test_the_picture_shows_what_was_measured(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "save", lambda figure, path: drawn.append(figure) or path)
    window = measure(reach=5)
    half = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    pictures.stdp_window_picture(
        tmp_path / "window.png",
        window.differences,
        window.measured,
        window.exact,
        window.bounds,
        curves=[half],
        title="window",
    )
    ((top, bottom),) = [figure.axes for figure in drawn]
    lines = {line.get_label(): np.array(line.get_data()) for line in top.lines}
    np.testing.assert_array_equal(lines["measured"], [window.differences, window.measured])
    np.testing.assert_array_equal(lines["exact"], half)
    points = bottom.lines[-1].get_data()
    np.testing.assert_array_equal(points, [window.differences, window.deviations])
    (band,) = bottom.collections
    edges = band.get_paths()[0].vertices
    assert edges[:, 1].max() == window.bounds.max() and edges[:, 1].min() == -window.bounds.max()


def test_the_command_writes_what_it_measured(tmp_path, file):
    folder = tmp_path / "new" / "window"
    options = ["--device", "golden", "--reach", 20, "--seed", 5, "--out", folder]
    result = call("stdp-window", file, *options)
    assert result.exit_code == 0, result.output
    values = json.loads((folder / "stdp_window.json").read_text())
    window = measure(seed=5)
    for name in ("differences", "measured", "exact", "bounds"):
        assert values[name] == getattr(window, name).tolist()
    assert (values["device"], values["configuration"]) == ("golden", "ecp5-8-spiking")
    assert values["formats"] == {"weight": "Q0.15", "trace": "Q2.13"} and values["seed"] == 5
    assert values["rule"]["bounds"] == "soft" and values["dt"] == 0.5
    worst = window.worst
    deviation, bound = abs(window.deviations[worst]), window.bounds[worst]
    told = words(result)
    assert f"worst deviation {deviation:.3f} LSB, at {window.differences[worst]:g} ms" in told
    assert f"where the formats allow {bound:.3f} all 81 points lie within" in told
    rows = [line.split() for line in result.output.splitlines() if line.count(".") == 3]
    assert [row[0] for row in rows if len(row) == 5] == [str(t) for t in range(-20, 21, 4)]
    with Image.open(folder / "stdp_window.png") as image:
        assert tuple(round(dots) for dots in image.info["dpi"]) == (300, 300)
        assert len(image.convert("L").getcolors() or []) > 4


def test_without_a_file_it_is_the_rule_by_default(tmp_path):
    result = call("stdp-window", "--device", "golden", "--reach", 10, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    values = json.loads((tmp_path / "stdp_window.json").read_text())
    assert values["measured"] == measure(SpikePair(), reach=10).measured.tolist()


def test_points_outside_are_told_and_end_with_1(tmp_path, file, monkeypatch):
    def stronger(spec, config, *, report=None):
        return Stronger(open_device("golden", config))

    monkeypatch.setattr("host.commands.stdp_window_command.open_device", stronger)
    result = call("stdp-window", file, "--reach", 20, "--out", tmp_path / "out")
    assert result.exit_code == DIFFERENT, result.output
    window = measure(wrap=Stronger)
    assert f"{window.outside} of 81 points lie outside their bounds" in words(result)
    assert (tmp_path / "out" / "stdp_window.png").exists()


def test_a_ctrl_c_leaves_the_device_stopped(tmp_path, monkeypatch):
    devices = []

    def opened(spec, config, *, report=None):
        devices.append(open_device("golden", config))
        return devices[-1]

    def check(self):
        raise KeyboardInterrupt

    monkeypatch.setattr("host.commands.stdp_window_command.open_device", opened)
    monkeypatch.setattr("host.streaming.Interruption.check", check)
    result = call("stdp-window", "--reach", 5, "--out", tmp_path / "out")
    assert result.exit_code == INTERRUPTED and "interrupted" in words(result)
    assert devices[0].poll() == DeviceStatus(State.IDLE, 2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.toml"], "none.toml does not exist"),
        ([EXAMPLES / "iris.toml"], "must have a [spiking] table with the rule stdp, not a"),
        ([EXAMPLES / "stdp_digits.toml"], "spiking.rule must be stdp, which learns from pairs"),
        (["--device", "fpga"], "device must be one of golden"),
        (["--device", "netlist:icebreaker"], "which up5k-4x2 leaves out"),
        (["--device", "netlist:icebreaker_spiking"], "reach must be below 32 ms on up5k-2-spiking"),
        (["--reach", "0.1"], "reach must be at least a time step, 1 ms, and finite, not 0.1"),
        (["--seed", "-1"], "should be greater than or equal to 0"),
    ],
)
def test_bad_arguments_write_nothing(tmp_path, arguments, message):
    result = call("stdp-window", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == BAD and message in words(result)
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder(tmp_path, file):
    result = call("stdp-window", file, "--device", "golden", "--out", file)
    assert result.exit_code == BAD and "--out must be a folder" in words(result)
    assert file.read_text() == FILE
