"""Preprocessing: features by their definitions, fitted on what is trained, blind to the future."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from host.data import Recipe, Scaling, Table, prepare_table, synthetic_market
from host.data.indicators import DAY, feature
from host.data.preprocessing import Preprocessing, preprocess
from host.run import prepare
from host.run_config import ConfigError, parse_config
from tests.host.commands.test_cli import ROOT, call, words

COLUMNS = ("price", "volume", "timestamp")
FEATURES = (
    *("sma_10", "ema_21", "rsi_14", "volume_sma_10", "volume_ratio"),
    *("time_of_day", "day_of_week"),
)


def series(samples=60, seed=1):
    rng = np.random.default_rng(seed)
    price = 50 + np.cumsum(rng.normal(0, 1, samples))
    times = 1.7e12 + np.arange(samples) * 7_200_000.0
    return np.column_stack([price, rng.uniform(1, 9, samples), times])


def test_features_are_what_their_definitions_say():
    rows = series()
    price, volume, _ = rows.T
    found = {name: feature(name, COLUMNS)(rows) for name in FEATURES}
    missing = {name: int(np.isnan(values).sum()) for name, values in found.items()}
    assert missing == {
        **{"sma_10": 9, "ema_21": 20, "rsi_14": 14, "volume_sma_10": 9, "volume_ratio": 9},
        **{"time_of_day": 0, "day_of_week": 0},
    }
    ema, gain, loss = price[:21].mean(), 0.0, 0.0
    change = np.diff(price)
    gains, losses = np.maximum(change, 0), np.maximum(-change, 0)
    for k in range(60):
        near = {"rtol": 1e-12, "atol": 1e-12}
        if k >= 9:
            mean = volume[k - 9 : k + 1].mean()
            np.testing.assert_allclose(found["sma_10"][k], price[k - 9 : k + 1].mean(), **near)
            np.testing.assert_allclose(found["volume_sma_10"][k], mean, **near)
            np.testing.assert_allclose(found["volume_ratio"][k], volume[k] / mean, **near)
        if k >= 20:
            ema += (price[k] - ema) * 2 / 22 * (k > 20)
            np.testing.assert_allclose(found["ema_21"][k], ema, **near)
        if k >= 14:
            # Wilder: a running mean of 14, which begins with the plain mean of the first 14.
            first = k == 14
            gain = gains[:14].mean() if first else (13 * gain + gains[k - 1]) / 14
            loss = losses[:14].mean() if first else (13 * loss + losses[k - 1]) / 14
            np.testing.assert_allclose(found["rsi_14"][k], 100 * gain / (gain + loss), **near)


def test_the_clock_is_utc():
    times = np.array([0.0, 1.7e12, 1_704_067_200_000, 1_709_251_199_999, DAY - 1])
    rows = np.column_stack([times, times, times])
    for k, ms in enumerate(times):
        moment = datetime.fromtimestamp(ms / 1000, UTC)
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        share = (moment - midnight).total_seconds() / 86400
        assert feature("time_of_day", COLUMNS)(rows)[k] == pytest.approx(share, abs=1e-8)
        assert feature("day_of_week", COLUMNS)(rows)[k] == moment.weekday()


def test_no_volume_is_no_ratio():
    rows = series()
    rows[:, 1] = 0
    assert (feature("volume_ratio", COLUMNS)(rows)[9:] == 0).all()


def recipe(*steps, **changes):
    what = Preprocessing(steps=steps, **changes)
    return Recipe(classes=True, split="order", preprocessing=what)


def table(rows):
    return Table(inputs=rows, targets=np.arange(len(rows)) % 2, columns=COLUMNS)


@pytest.mark.parametrize("scaler", ["min-max", "z-score"])
def test_the_future_changes_nothing(scaler):
    """Neither another test part nor other samples to come move what is trained on."""
    steps = (*FEATURES, scaler, "delta", "window")
    rows, other = series(200), series(200)
    other[160:, :2] *= 3
    one = prepare_table(table(rows), recipe(*steps, window=4))
    two = prepare_table(table(other), recipe(*steps, window=4))
    assert np.array_equal(one.train[0], two.train[0])
    assert not np.array_equal(one.test[0], two.test[0])
    assert one.dropped == 20 + 1 + 3
    assert one.train[0].shape == (160 - one.dropped, 4 * 2 * 9) and one.shape == (4, 18)
    assert set(np.unique(one.train[0])) == {0, 1}


def test_scaling_is_fitted_on_what_is_trained():
    rows = series(100)
    found = prepare_table(table(rows), recipe("sma_10", "min-max"))
    train, test = found.train[0], found.test[0]
    low, high = rows[:80, 0].min(), rows[:80, 0].max()
    scaled = np.clip((rows[9:, 0] - low) / (high - low), 0, 1)
    np.testing.assert_allclose(np.concatenate([train, test])[:, 0], scaled, atol=1e-12)
    assert test.min() >= 0 and test.max() <= 1
    outside = int(((rows[:, 0] < low) | (rows[:, 0] > high)).sum())
    assert found.clipping.columns.get("price", 0) == outside


@pytest.mark.parametrize("scaling", ["z-score", "min-max"])
def test_a_step_that_scales_is_the_scaling(scaling):
    """Of samples in no order, too: fitted on those of a random split that are trained."""
    rng = np.random.default_rng(2)
    rows = Table(inputs=rng.normal(3, 2, (60, 4)), targets=np.arange(60) % 3)
    one = prepare_table(rows, Recipe(classes=True, scaling=scaling))
    steps = Preprocessing(steps=(scaling,))
    two = prepare_table(rows, Recipe(classes=True, preprocessing=steps))
    for (x, y), (u, v) in zip((one.train, one.test), (two.train, two.test), strict=True):
        np.testing.assert_allclose(x, u, atol=1e-12)
        assert np.array_equal(y, v)
    assert one.clipping.results() == two.clipping.results()


def test_windows_and_changes():
    rows = np.array([[0.0, 0], [1, 0], [1, 5], [3, 5]])
    made = preprocess(Preprocessing(steps=("window",), window=2), rows, ("a", "b"), slice(4))
    assert np.isnan(made.inputs[0]).all()
    assert made.inputs[1:].tolist() == [[0, 0, 1, 0], [1, 0, 1, 5], [1, 5, 3, 5]]
    assert made.columns == ("a[-1]", "b[-1]", "a[-0]", "b[-0]")
    what = Preprocessing(steps=("delta",), threshold=2)
    made = preprocess(what, -rows, ("a", "b"), slice(4))
    assert made.inputs[1:].tolist() == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]


def test_clipping_is_counted():
    scaling = Scaling.min_max(np.array([0.0, 0.0]), np.array([2.0, 0.0]))
    inputs = np.array([[1.0, 0.0], [3.0, 0.5], [-1.0, 2.0]])
    assert scaling(inputs).tolist() == [[0.5, 0], [1, 0.5], [0, 1]]
    assert scaling.outside(inputs).tolist() == [2, 1]
    rows = np.array([[0.0], [1.0], [2.0], [9.0], [5.0]])
    two = Table(inputs=rows, targets=np.arange(5) % 2, columns=("height",))
    found = prepare_table(two, Recipe(classes=True, split="order", limits=(-4.0, 4.0)))
    assert found.clipping.results() == {"clipped": 2, "values": 5, "columns": {"height": 2}}
    assert str(found.clipping) == "2 of 5 values: height 2"
    assert found.train[0].max() == 4


def config(data, layers=({"units": 3},)):
    return parse_config({"data": data, "network": {"layers": list(layers)}})


MARKET = {"name": "synthetic_market", "samples": 120}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({**MARKET, "preprocessing": {"steps": ["smma_10"]}}, "steps must be of sma_N.* 'smma_10'"),
        ({**MARKET, "preprocessing": {"steps": ["min-max", "sma_3"]}}, "features, then a scaling"),
        ({**MARKET, "preprocessing": {"steps": ["min-max", "z-score"]}}, "not both"),
        ({**MARKET, "preprocessing": {"steps": []}, "scaling": 2}, "scaling must be left out"),
        ({**MARKET, "preprocessing": {"stepps": []}}, "did you mean 'steps'"),
        ({**MARKET, "preprocessing": {"steps": ["sma_3"]}, "split": "random"}, "must be 'order'"),
    ],
)
def test_wrong_steps(data, message):
    with pytest.raises(ConfigError, match=message):
        config(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "iris", "preprocessing": {"steps": ["sma_3"]}}, "must have a column 'price'"),
        ({**MARKET, "preprocessing": {"steps": ["sma_500"]}}, "120 have too little past"),
        (
            {**MARKET, "preprocessing": {"steps": ["sma_3"], "inputs": ["prize"]}},
            "must be of price, .*sma_3, not 'prize'",
        ),
        (
            {**MARKET, "preprocessing": {"steps": ["window"], "window": 10**9}},
            "a window of 1000000000 samples must fit into those that are trained, 96",
        ),
        ({**MARKET, "target": "quantity"}, "target must be action where targets are classes"),
    ],
)
def test_steps_that_the_data_does_not_allow(data, message):
    with pytest.raises(ValueError, match=message):
        prepare(config(data))


@pytest.mark.parametrize("scaling", ["z-score", "min-max"])
def test_numbers_too_large_to_be_scaled(scaling):
    rows = np.array([[1.0, 1e308], [2.0, -1e308]] * 5)
    huge = Table(inputs=rows, targets=np.arange(10) % 2)
    with pytest.raises(ValueError, match="column 1 has values too large to be scaled"):
        prepare_table(huge, Recipe(classes=True, scaling=scaling))


def test_a_feature_that_becomes_infinite():
    rows = series(100)
    rows[50:, 0] = 1e308
    with pytest.raises(ValueError, match="sample 99 becomes infinite|too large|infinity"):
        prepare_table(table(rows), recipe("sma_10"))


def test_weights_draw_the_samples():
    rows = series(100)
    weighted = Table(
        inputs=rows,
        targets=np.arange(100) % 2,
        columns=COLUMNS,
        weights=np.where(np.arange(100) < 40, 3.0, 0.0),
    )
    what = {"classes": True, "split": "order", "weights": "resample"}
    drawn = prepare_table(weighted, Recipe(**what)).train[0]
    assert len(drawn) == 80 and set(drawn[:, 0]) <= set(rows[:40, 0])
    assert np.array_equal(drawn, prepare_table(weighted, Recipe(**what)).train[0])
    ignored = prepare_table(weighted, Recipe(**{**what, "weights": "ignore"})).train[0]
    assert np.array_equal(ignored, rows[:80])


def test_a_market_trains_from_json(tmp_path):
    (tmp_path / "market.json").write_text(synthetic_market(0, 400))
    (tmp_path / "c.toml").write_text(f"""
[data]
file = "market.json"
[data.preprocessing]
steps = {json.dumps([*FEATURES, "z-score"])}
[network]
layers = [{{ units = 8, activation = "relu" }}, {{ units = 3 }}]
[training]
learning_rate = 0.0625
epochs = 12
batch_size = 16
""")
    result = call("train", tmp_path / "c.toml", "--device", "golden", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    values = json.loads((tmp_path / "out" / "result.json").read_text())
    assert values["data"]["dropped"] == 20 and "20, with too little past" in result.output
    assert values["data"]["classes"] == ["buy", "hold", "sell"]
    assert values["test_accuracy"] > 0.7


@pytest.mark.simulator
def test_a_market_trains_the_gateware_to_the_same_bits(tmp_path):
    options = ["--device", "sim", "--epochs", 1, "--verify", "--out", tmp_path]
    result = call("train", ROOT / "examples" / "market.toml", *options)
    assert result.exit_code == 0 and "replayed on golden: identical" in words(result)


def test_a_market_becomes_spikes():
    steps = ["sma_10", "rsi_14", "min-max", "delta", "window"]
    data = {**MARKET, "preprocessing": {"steps": steps, "threshold": 0.05, "window": 6}}
    tables = {
        "data": data,
        "spiking": {
            "rule": "prototype",
            "encoding": {"kind": "level", "steps": 6},
            "neurons": {"count": 8},
        },
        "training": {"epochs": 1},
    }
    experiment = prepare(parse_config(tables))
    assert experiment.plan.network.inputs == 2 * 7
    assert len(experiment.plan.train) == 96 - 14 - 1 - 5 and len(experiment.plan.test) == 24
