"""Configuration files: what they mean, and what a wrong one is told."""

from pathlib import Path

import numpy as np
import pytest

from host.data import Scaling, generated, read_file, sums
from host.network import Neuron
from host.run import prepare
from host.run_config import ConfigError, parse_config, read_config
from host.training.schedule import Constant, Piecewise, StepDecay
from hw.numbers import Format

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))


def tables(**changes):
    """A smallest configuration, with keys 'table__key' changed."""
    values = {
        "data": {"name": "iris", "scaling": "z-score"},
        "network": {"layers": [{"units": 4, "activation": "relu"}, {"units": 3}]},
    }
    for name, value in changes.items():
        table, key = name.split("__")
        values.setdefault(table, {})[key] = value
    return values


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_compile(path):
    experiment = prepare(read_config(path))
    assert len(experiment.plan.train) > len(experiment.plan.test)


def test_defaults_are_the_specified_ones():
    training = parse_config(tables()).training
    assert (training.learning_rate, training.momentum, training.l2) == (0.01, 0.9, False)
    rule = parse_config(tables(training__l2=True)).training.optimizer().rule()
    assert rule.decay == 0.001
    assert parse_config(tables(training__l2=0.5)).training.optimizer().rule().decay == 0.5


def test_schedules_and_formats():
    def schedule(**values):
        return parse_config(tables(training__schedule=values)).training.schedule.schedule()

    assert schedule() == Constant()
    assert schedule(kind="step", decay=0.5, every=3) == StepDecay(0.5, 3)
    assert schedule(kind="piecewise") == Piecewise()
    assert schedule(kind="piecewise", until=[0.5], factors=[1, 0.5]) == Piecewise((0.5,), (1, 0.5))
    values = tables(formats__weights="Q2.13", formats__currents="Q5.10")
    formats = parse_config(values).formats.formats()
    assert (formats.weight, formats.current) == (Format(2, 13), Format(5, 10))


def test_neurons_of_layers():
    layer = {"units": 4, "activation": "lif"}
    given = {"steps": 7, "leak_shift": 2, "threshold": 0.5}
    values = tables(network__layers=[layer, {**layer, **given}, {"units": 3}])
    neurons = [each.neuron for each in parse_config(values).network.dense()]
    assert neurons == [Neuron(), Neuron(**given), None]
    with pytest.raises(ValueError, match=r"\(lif\), which ecp5-8x8 leaves out: take relu"):
        prepare(parse_config(values))
    values["device"] = {"configuration": "ecp5-8x8-spiking"}
    assert prepare(parse_config(values)).network.neurons == tuple(neurons)


def test_options_go_before_the_file():
    config = parse_config(tables(data__seed=7, training__epochs=3))
    assert (config.data.seed, config.training.seed) == (7, 0)
    other = config.with_options(seed=4, epochs=9)
    assert (other.data.seed, other.training.seed, other.training.epochs) == (None, 4, 9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training__learning_rat": 1}, "unknown key 'training.learning_rat'; did you mean 'learn"),
        ({"training__xyzzy": 1}, r"unknown key 'training.xyzzy'; There are: learning_rate, momen"),
        ({"network__layers": [{"unit": 3}]}, "'network.layers.unit'; did you mean 'units'"),
        ({"trainin__epochs": 3}, "unknown key 'trainin'; did you mean 'training'"),
        ({"training__schedule": {"evry": 3}}, "'training.schedule.evry'; did you mean 'every'"),
        ({"training__batch_size": 0}, "training.batch_size should be greater .* to 1, not 0"),
        ({"training__epochs": 2.5}, "training.epochs should be a valid integer, not 2.5"),
        ({"training__learning_rate": float("nan")}, "training.learning_rate should be .*not nan"),
        ({"training__momentum": 1}, "training.momentum should be less than 1, not 1"),
        ({"training__seed": -1}, "training.seed should be greater"),
        ({"training__schedule": {"kind": "step", "every": 0}}, "schedule: every must be at least"),
        ({"network__layers": []}, "network.layers .*at least 1 item"),
        (
            {"network__layers": [{"units": 3, "activation": "relu", "steps": 4}, {"units": 3}]},
            "network.layers.0 steps must be left out, as it belongs to the activation 'lif', not",
        ),
        ({"network__layers": [{"units": 3, "threshold": 1.0}]}, "threshold must be left out"),
        (
            {"network__layers": [{"units": 3, "activation": "lif", "steps": 256}]},
            "network.layers.0.steps should be less than or equal to 255, not 256",
        ),
        (
            {"network__layers": [{"units": 3, "activation": "lif", "threshold": 0}]},
            "network.layers.0.threshold should be greater than 0",
        ),
        ({"network__loss": "huber"}, "network.loss should be .* or 'mse', not 'huber'"),
        ({"formats__weights": "3.12.1"}, "formats: a format must be written as Qm.n"),
        ({"formats__weights": "Q3.10"}, "formats: .*must make 15"),
        ({"data__name": "mnist"}, "data name must be one of digits, .*, not 'mnist'"),
        ({"data__file": "x.npz"}, "data must have either a file or a name"),
        ({"data__samples": 3}, "data samples must be left out, as iris has its own"),
        ({"data__scaling": "log"}, "data.scaling"),
        ({"device__configuration": "ecp6"}, "must be one of up5k-4x2, .*, not 'ecp6'"),
    ],
)
def test_wrong_tables(changes, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_config(tables(**changes))
    assert len(str(caught.value).splitlines()) == 1


def test_wrong_files(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[data\n")
    with pytest.raises(ConfigError, match="bad.toml is not TOML: .*line 1"):
        read_config(tmp_path / "bad.toml")
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(ConfigError, match="data is missing\nnetwork is missing"):
        read_config(tmp_path / "empty.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path)


def test_data_files(tmp_path):
    x, y = generated(0, samples=12, features=3, classes=2)
    np.savez(tmp_path / "d.npz", x=x, y=y)
    np.savetxt(tmp_path / "d.csv", np.column_stack([x, y]), delimiter=",", fmt="%.18g")
    text = "a,b,c,label\n" + (tmp_path / "d.csv").read_text()
    (tmp_path / "named.csv").write_text(text)
    for name in ("d.npz", "d.csv", "named.csv"):
        inputs, targets = read_file(tmp_path / name)
        assert np.array_equal(inputs, x) and np.array_equal(targets, y)
    np.savez(tmp_path / "no.npz", x=x)
    with pytest.raises(ValueError, match="arrays x and y, but y is missing"):
        read_file(tmp_path / "no.npz")
    (tmp_path / "one.csv").write_text("1\n2\n")
    with pytest.raises(ValueError, match="columns of inputs and then one of targets"):
        read_file(tmp_path / "one.csv")
    (tmp_path / "d.txt").write_text("1,2\n")
    with pytest.raises(ValueError, match="must end in .csv, .npz, .npy, .json"):
        read_file(tmp_path / "d.txt")


def test_z_scores_come_from_the_training_samples_alone():
    dataset = prepare(parse_config(tables())).dataset
    x = dataset.train[0]
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(x.std(axis=0), 1, atol=0.02)
    assert len(dataset.test[0]) == 30 and np.bincount(dataset.test[1]).tolist() == [10, 10, 10]
    scaling = Scaling.z_score(np.array([[0.0, 5.0], [2.0, 5.0]]))
    assert scaling([[1, 5], [100, 6]]).tolist() == [[0, 0], [4, 1]]


def test_sums_are_sums():
    x, y = sums(0)
    assert x.shape == (1000, 4) and x.min() == 0 and x.max() == 9
    assert np.array_equal(y, np.stack([x[:, 0] + x[:, 1], x[:, 2] - x[:, 3]], axis=1))
