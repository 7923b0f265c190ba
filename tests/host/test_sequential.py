"""The Python API: what fit, predict, evaluate and score return, and what they refuse."""

import numpy as np
import pytest

from synaptile import (
    SGD,
    Dense,
    Format,
    Formats,
    Neuron,
    NotFittedError,
    Sequential,
    StepDecay,
)


def blobs(samples=90, seed=1):
    """Three classes of points in the plane, well apart."""
    rng = np.random.default_rng(seed)
    labels = np.arange(samples) % 3
    centres = np.array([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]])
    return centres[labels] + rng.normal(0, 0.2, (samples, 2)), labels


def classifier(**options):
    layers = [Dense(8, "relu"), Dense(3)]
    options = {"optimizer": SGD(2**-4, momentum=0.9), "device": "golden", **options}
    return Sequential(layers, **options)


def test_five_lines_learn():
    x, y = blobs()
    with classifier() as model:
        assert model.fit(x, y, epochs=8, batch_size=16) is model
        assert model.predict(x).shape == (90,)
        evaluated = model.evaluate(x, y)
        assert evaluated["accuracy"] == np.mean(model.predict(x) == y) == model.score(x, y) == 1
        assert 0 < evaluated["loss"] < 0.2


def test_neurons_that_spike_learn():
    x, y = blobs()
    layers = [Dense(16, "lif", Neuron(steps=10, threshold=0.5)), Dense(3)]
    options = {"loss": "mse", "optimizer": SGD(2**-5), "device": "golden"}
    with Sequential(layers, configuration="ecp5-8x8-spiking", **options) as model:
        model.fit(x, y, epochs=10, batch_size=8)
        evaluated = model.evaluate(x, y)
        assert evaluated["accuracy"] == np.mean(model.predict(x) == y) == model.score(x, y) >= 0.95
    with pytest.raises(ValueError, match="spike .*which ecp5-8x8 leaves out"):
        Sequential(layers, **options).fit(x, y)


def test_what_fit_leaves():
    x, y = blobs()
    model = classifier().fit(x, y, epochs=4, validation_data=blobs(20, seed=2))
    assert {name: len(values) for name, values in model.history_.items()} == {
        "loss": 4,
        "accuracy": 4,
        "val_loss": 4,
        "val_accuracy": 4,
    }
    assert model.history_["loss"][-1] < model.history_["loss"][0]
    assert [w.shape for w in model.weights_] == [(8, 3), (3, 9)]
    assert model.n_features_in_ == 2
    assert model.counts_["samples"] == 4 * 90


def test_a_seed_repeats_a_fit():
    x, y = blobs()
    first, again, other = (classifier().fit(x, y, epochs=2, seed=s).weights_ for s in (1, 1, 2))
    assert all(map(np.array_equal, first, again))
    assert not all(map(np.array_equal, first, other))


def test_fit_anew_forgets():
    x, y = blobs()
    model = classifier().fit(x, y, epochs=3)
    model.predict(x)
    assert all(
        map(
            np.array_equal,
            model.fit(x, y, epochs=2).weights_,
            classifier().fit(x, y, epochs=2).weights_,
        )
    )


def test_probabilities_are_the_softmax_of_the_outputs():
    x, y = blobs()
    model = classifier().fit(x, y, epochs=2)
    p = model.predict_proba(x)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert np.array_equal(p.argmax(axis=1), model.decision_function(x).argmax(axis=1))


def test_regression_learns_values():
    rng = np.random.default_rng(5)
    x = rng.uniform(-1, 1, (200, 2))
    y = x @ [0.5, -0.25] + 0.1
    schedule = StepDecay(decay=0.5, every=10)
    model = Sequential(
        [Dense(1)],
        loss="mse",
        optimizer=SGD(2**-3, momentum=0, schedule=schedule),
        device="golden",
        formats=Formats(activation=Format(3, 12), input=Format(3, 12)),
    )
    model.fit(x, y, epochs=30, batch_size=16)
    assert model.predict(x).shape == (200, 1)
    assert model.evaluate(x, y)["rmse"] < 0.01
    assert model.score(x, y[:, None]) > 0.99
    np.testing.assert_allclose(model.weights_[0], [[0.5, -0.25, 0.1]], atol=0.01)


def test_classes_may_be_learned_by_the_squared_error():
    x, y = blobs()
    model = classifier(loss="mse", optimizer=SGD(2**-5, momentum=0))
    assert model.fit(x, y, epochs=20, batch_size=4).score(x, y) > 0.9


def test_momentum_is_learned_away_where_a_configuration_has_none():
    x, y = blobs()
    options = {"loss": "mse", "configuration": "up5k-4x2"}
    with pytest.raises(ValueError, match="momentum, which up5k-4x2 leaves out"):
        classifier(**options).fit(x, y)
    model = classifier(**options, optimizer=SGD(2**-5, momentum=0))
    assert model.fit(x, y, epochs=20, batch_size=4).score(x, y) > 0.9


def test_unlearned_networks_say_so():
    for use in (lambda m: m.predict([[1, 2]]), lambda m: m.evaluate([[1, 2]], [0])):
        with pytest.raises(NotFittedError, match="call fit"):
            use(classifier())


def test_a_failed_fit_leaves_what_was_learned():
    x, y = blobs()
    model = classifier().fit(x, y, epochs=2)
    before = model.predict(x)
    with pytest.raises(ValueError, match="finite"):
        model.fit(np.full((4, 2), np.nan), [0, 1, 2, 0])
    assert np.array_equal(model.predict(x), before)
