"""The learning-rate range test: rates, losses, where it ends, what it suggests, what it writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from host.commands.cli import app
from host.devices.device import open_device
from host.layers import Dense, build_network
from host.plan import ORDER_SEED, make_plan
from host.statistics import mean_loss
from host.trainer import evaluate
from host.training.rate_range import FEWEST, RangeTest, RateRange, smoothed
from host.training.rules import SGD
from hw.isa import State
from tests.host.small_run import CONFIG, classes_data, small_plan

EXAMPLES = Path(__file__).parents[3] / "examples"


def found(plan, *, low=1e-3, high=0.5, batches=20, device="golden"):
    with open_device(device, CONFIG) as opened:
        return RangeTest(plan, low=low, high=high, batches=batches).run(opened)


def test_rates_rise_by_the_same_factor():
    rates = found(small_plan()).rates
    np.testing.assert_allclose(rates, np.geomspace(1e-3, 0.5, 20), rtol=1e-14)


def test_losses_are_those_that_the_device_counts_of_each_batch():
    """Batches of 50 samples in eights, the last one of 2; the first is met by the first weights."""
    plan = small_plan()
    result = found(plan)
    assert len(result.losses) == len(result.smoothed) == 20 and not result.diverged
    x, y = classes_data(50)
    order = np.random.default_rng(ORDER_SEED).permutation(50)[:8]
    with open_device("golden", CONFIG) as device:
        counts = evaluate(device, plan.network, plan.weights, x[order], y[order])
    assert result.losses[0] == mean_loss(plan.network, counts)
    assert len(set(result.losses)) == 20


@pytest.mark.simulator
def test_gateware_finds_the_same():
    plan = small_plan()
    assert found(plan, batches=12) == found(plan, batches=12, device="sim")


def test_smoothing_is_a_mean_of_what_came():
    assert smoothed([2.0] * 5) == pytest.approx([2.0] * 5, rel=1e-15)
    losses = np.random.default_rng(1).uniform(size=30)
    weights = 0.9 ** np.arange(30)[::-1]
    assert smoothed(losses)[-1] == pytest.approx((losses * weights).sum() / weights.sum())


def test_it_ends_where_the_loss_runs_away():
    """A linear layer on inputs of several units cannot take rates near 1."""
    x, y = classes_data(50)
    network = build_network(5, [Dense(3)], loss="mse", classes=True)
    plan = make_plan(network, SGD(2**-6), CONFIG, (4 * x, y), epochs=1, batch_size=8)
    with open_device("golden", CONFIG) as device:
        result = RangeTest(plan, low=1e-3, high=0.999, batches=200).run(device)
        assert device.poll().state == State.IDLE and device.poll().credits == 2
    assert result.diverged and FEWEST <= len(result.rates) < 200
    means = result.smoothed
    assert means[-1] > max(4 * min(means), means[0])
    assert all(m <= max(4 * min(means[: k + 1]), means[0]) for k, m in enumerate(means[:-1]))


def test_the_suggestion_is_where_the_loss_falls_fastest():
    rates = np.geomspace(1e-5, 0.9, 100)
    middle = 40
    fall = 1 / (1 + (rates / rates[middle]) ** 2) + 1
    noise = np.random.default_rng(2).normal(0, 0.01, 100)
    # It runs away at the end, and comes back a little.
    losses = (fall + noise + np.where(np.arange(100) > 90, 9.0 - 0.05 * np.arange(100), 0)).tolist()
    result = RateRange(rates.tolist(), losses, smoothed(losses), diverged=True)
    assert abs(rates.tolist().index(result.suggestion) - middle) <= 2
    rising = (3 - fall).tolist()
    assert RateRange(rates.tolist(), rising, smoothed(rising), diverged=False).suggestion is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 0}, "low must be above 0 and below high, not 0"),
        ({"low": float("nan")}, "low must be above 0"),
        ({"low": 0.6}, "low must be above 0 and below high, not 0.6 and 0.5"),
        ({"high": float("inf")}, "low must be above 0 and below high"),
        ({"high": 1.0}, "rate must be below 1 on the device, not 1: lower the rate"),
        ({"low": 1e-12}, "rate = 1e-12 is below the least constant of ecp5-8x8"),
        ({"batches": 9}, "batches must be at least 10, not 9"),
    ],
)
def test_wrong_ranges(options, message):
    with pytest.raises(ValueError, match=message):
        found(small_plan(), **options)


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_writes_what_it_found(tmp_path):
    result = call("lr-find", EXAMPLES / "iris.toml", "--out", tmp_path / "new", "--batches", 40)
    assert result.exit_code == 0, result.output
    values = json.loads((tmp_path / "new" / "lr_find.json").read_text())
    assert len(values["rates"]) == len(values["losses"]) == len(values["smoothed"]) == 40
    assert values["config"]["data"]["name"] == "iris" and values["seed"] == 0
    assert f"suggested learning rate: {values['suggestion']:.3g}" in result.output
    rows = [line.split() for line in result.output.splitlines()[1:] if line.strip()[:1].isdigit()]
    assert 10 <= len(rows) <= 14 and rows[0][0] == "1" and rows[-1][0] == "40"
    assert rows[-1][1:] == [f"{values[k][-1]:.4g}" for k in ("rates", "losses", "smoothed")]
    with Image.open(tmp_path / "new" / "lr_find.png") as image:
        assert tuple(round(dots) for dots in image.info["dpi"]) == (300, 300)
        assert len(image.convert("L").getcolors() or []) > 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.toml"], "none.toml does not exist"),
        ([EXAMPLES / "stdp_digits.toml"], "lr-find needs a file with a [network]"),
        ([EXAMPLES / "iris.toml", "--high", "2"], "rate must be below 1 on the device"),
        ([EXAMPLES / "iris.toml", "--device", "fpga"], "device must be one of golden"),
    ],
)
def test_bad_arguments_write_nothing(tmp_path, arguments, message):
    result = call("lr-find", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2 and message in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()
