"""Dropout as a user states it: behind a layer, in a TOML file, of an estimator; and refused."""

import numpy as np
import pytest
import tomli_w
from sklearn.base import clone
from sklearn.datasets import load_iris

from host.layers import with_dropout
from host.network import Network
from host.run import prepare
from host.run_config import ConfigError, parse_config
from host.search.space import SearchFile
from hw.configurations import CONFIGURATIONS
from hw.isa import Activation
from synaptile import SGD, Dense, Dropout, Sequential, SynaptileClassifier

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)


def model(*layers, **options):
    return Sequential(layers, **{"device": "golden", "optimizer": SGD(2**-4), **options})


def test_a_layer_says_it_or_what_stands_behind_it_does():
    behind = model(Dense(16, "relu"), Dropout(0.25), Dense(3))
    within = model(Dense(16, "relu", dropout=0.25), Dense(3))
    without = model(Dense(16, "relu"), Dense(3))
    assert behind.layers == within.layers
    fitted = [each.fit(X, Y, epochs=3, seed=1).weights_ for each in (behind, within, without)]
    assert all(map(np.array_equal, *fitted[:2]))
    assert not all(map(np.array_equal, *fitted[1:]))


def test_it_learns_and_its_answers_are_no_lottery():
    """What is told is of all neurons: twice the same, and of about the accuracy it trained for."""
    learned = model(Dense(32, "tanh"), Dropout(0.5), Dense(3)).fit(X, Y, epochs=20)
    assert learned.score(X, Y) > 0.93
    assert np.array_equal(learned.decision_function(X), learned.decision_function(X))
    first = model(Dense(32, "tanh", dropout=0.5), Dense(3)).fit(X, Y, epochs=2, seed=4)
    second = model(Dense(32, "tanh", dropout=0.5), Dense(3)).fit(X, Y, epochs=2, seed=4)
    assert all(map(np.array_equal, first.weights_, second.weights_))


def test_outputs_are_scaled_where_nothing_is_dropped():
    """One linear layer after another: half of the hidden layer's part of the answer."""
    rng = np.random.default_rng(3)
    weights = [rng.integers(-8, 9, (6, 5)) / 8, rng.integers(-8, 9, (3, 7)) / 8]
    frozen = {"weights": weights, "optimizer": SGD(2**-12, momentum=0)}
    answers = []
    for p in (0.0, 0.5):
        layers = (Dense(6, "linear", frozen=True, dropout=p), Dense(3))
        answers.append(model(*layers, **frozen).fit(X[:3], Y[[0, 50, 100]], epochs=1))
    inputs = np.round(X * 512) / 512
    hidden = inputs @ weights[0][:, :-1].T + weights[0][:, -1]
    for p, learned in zip((0.0, 0.5), answers, strict=True):
        last = learned.weights_[1]
        exact = (1 - p) * hidden @ last[:, :-1].T + last[:, -1]
        # A hidden word errs by half an LSB twice, the answer by half of its own.
        bound = 2 * 2.0**-10 * np.abs(last[:, :-1]).sum(axis=1) + 2.0**-9
        assert np.all(np.abs(learned.decision_function(inputs) - exact) <= bound)


def tables(**layer):
    return {
        "data": {"name": "iris", "scaling": "z-score"},
        "network": {"layers": [{"units": 8, "activation": "relu", **layer}, {"units": 3}]},
        "training": {"epochs": 2, "validation": 0.2},
    }


def test_a_file_says_it():
    plan = prepare(parse_config(tables(dropout=0.2))).plan
    assert plan.network.dropout == (0.2, 0.0)
    assert "* 205/256" in plan.compiled.listing() and "dropped by 51/256" in plan.compiled.listing()
    assert prepare(parse_config(tables())).plan.network.dropout == (0.0, 0.0)


def test_a_search_varies_it(tmp_path):
    (tmp_path / "run.toml").write_text(tomli_w.dumps(tables(dropout=0.2)))
    search = {"run": tmp_path / "run.toml", "method": "grid"}
    file = SearchFile.parsed({**search, "space": {"network.layers.0.dropout": [0.0, 0.25, 0.5]}})
    key = "network.layers.0.dropout"
    assert file.own_values() == {key: 0.2} and file.grid() == {key: [0.0, 0.25, 0.5]}
    assert prepare(file.config({key: 0.5})).plan.network.dropout == (0.5, 0.0)
    with pytest.raises(ConfigError, match="layers.0.dropout should be less than 1, not 1.5"):
        file.config({key: 1.5})


def test_an_estimator_has_it():
    options = {"random_state": 0, "epochs": 3, "hidden_layer_sizes": (16,)}
    models = [SynaptileClassifier(dropout=p, **options) for p in (0.0, 0.5)]
    first, second = (clone(each).fit(X, Y).decision_function(X) for each in models)
    assert not np.array_equal(first, second)
    assert models[1].get_params()["dropout"] == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dropout(1.0), "dropout must be a probability of at least 0 and below 1, not 1.0"),
        (lambda: Dropout(-0.1), "at least 0 and below 1, not -0.1"),
        (lambda: Dropout("half"), "at least 0 and below 1, not 'half'"),
        (lambda: Dense(3, dropout=np.nan), "at least 0 and below 1, not nan"),
        (lambda: with_dropout([Dropout(), Dense(3)]), "must not begin with Dropout"),
        (lambda: with_dropout([Dense(3), Dropout()]), "must not end with Dropout"),
        (lambda: with_dropout([Dense(3), Dropout(), Dropout(), Dense(3)]), "one Dropout, not two"),
        (lambda: with_dropout([Dense(3, dropout=0.1), Dropout(), Dense(3)]), "one Dropout"),
    ],
)
def test_what_is_no_dropout_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("activation", "dropout", "message"),
    [
        (Activation.RELU, (0.0, 0.5), "dropout must be 0 for the last layer"),
        (Activation.RELU, (0.001, 0.0), "layer 1 must be 0, or from 1/256 to 255/256 .* not 0.001"),
        (Activation.RELU, (0.999, 0.0), "layer 1 must be 0, or from 1/256 to 255/256 .* not 0.999"),
        (Activation.RELU, (float("inf"), 0.0), "layer 1 must be 0, or from 1/256"),
        (Activation.RELU, (0.5,), "dropout must be one for each of 2 layers, not 1"),
        (Activation.SURROGATE, (0.5, 0.0), r"layer 1 must be 0, as its neurons spike \(lif\)"),
    ],
)
def test_networks_refuse_what_the_device_cannot(activation, dropout, message):
    with pytest.raises(ValueError, match=message):
        Network(sizes=(2, 3, 2), activations=(activation, Activation.LINEAR), dropout=dropout)


def test_a_device_without_it_names_those_that_have_it():
    options = {"loss": "mse", "configuration": "up5k-4x2", "optimizer": SGD(2**-4, momentum=0)}
    with pytest.raises(ValueError, match="dropout, which up5k-4x2 leaves out: .*one of") as caught:
        model(Dense(4, "relu", dropout=0.5), Dense(3), **options).fit(X, Y, batch_size=2)
    for config in CONFIGURATIONS.values():
        assert (f" {config.name}," in f"{caught.value},") == config.dropout
