"""Estimators of scikit-learn: its own checks, its own tools around them, and what they learn."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from synaptile import NotFittedError, StepDecay, SynaptileClassifier, SynaptileRegressor

IRIS = load_iris()
NAMES = IRIS.target_names[IRIS.target]


@parametrize_with_checks([SynaptileClassifier(), SynaptileRegressor()])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_the_checks_that_scipy_hides_behind_a_switch():
    """It is read when scipy is imported, so they need a process of their own."""
    command = [sys.executable, "-m", "pytest", "-q", "-k", "array_api", __file__]
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout


def test_labels_come_back_as_they_were_given():
    model = SynaptileClassifier(random_state=0, epochs=20).fit(IRIS.data, NAMES)
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert model.score(IRIS.data, NAMES) > 0.95
    shares = model.predict_proba(IRIS.data)
    np.testing.assert_array_equal(model.classes_[shares.argmax(axis=1)], model.predict(IRIS.data))
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-12)


def test_the_rest_of_scikit_learn_takes_them():
    pipeline = make_pipeline(MinMaxScaler(), SynaptileClassifier(random_state=0, scaling="none"))
    assert cross_val_score(pipeline, IRIS.data, NAMES, cv=3).mean() > 0.9
    grid = {"synaptileclassifier__hidden_layer_sizes": [(), (16,)]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(IRIS.data, NAMES)
    assert search.best_score_ > 0.9
    assert clone(search.best_estimator_).get_params().keys() == pipeline.get_params().keys()


def test_simulated_gateware_gives_the_same_bits():
    options = {"hidden_layer_sizes": (8,), "epochs": 3, "random_state": 5}
    fitted = [
        SynaptileClassifier(device=device, **options).fit(IRIS.data, NAMES)
        for device in ("golden", "sim")
    ]
    outputs = [model.decision_function(IRIS.data) for model in fitted]
    np.testing.assert_array_equal(*outputs)


def test_values_and_rows_of_values():
    x, y = load_diabetes(return_X_y=True)
    folds = KFold(3, shuffle=True, random_state=0)
    assert cross_val_score(SynaptileRegressor(random_state=0), x, y, cv=folds).mean() > 0.3
    both = np.stack([y, -3 * y + 7], axis=1)
    model = SynaptileRegressor(random_state=0).fit(x, both)
    assert model.predict(x).shape == both.shape
    assert model.score(x, both) > 0.4


def test_schedules_reach_the_network():
    steps = [None, StepDecay(0.5, every=1)]
    models = [SynaptileClassifier(random_state=0, epochs=2, schedule=s) for s in steps]
    first, second = (m.fit(IRIS.data, NAMES).decision_function(IRIS.data) for m in models)
    assert (first != second).any()


def test_accumulation_and_clipping_reach_the_network():
    full = {"random_state": 0, "epochs": 2, "configuration": "ecp5-8x8-full", "clip_norm": 0.3}
    models = [
        SynaptileClassifier(**full, batch_size=size, accumulate_batches=count)
        for size, count in ((24, 1), (8, 3))
    ]
    first, second = (m.fit(IRIS.data, NAMES).decision_function(IRIS.data) for m in models)
    assert (first == second).all()
    free = SynaptileClassifier(**{**full, "clip_norm": None}, batch_size=24)
    assert (first != free.fit(IRIS.data, NAMES).decision_function(IRIS.data)).any()


def test_a_fitted_one_survives_pickling():
    train, test, labels, _ = train_test_split(IRIS.data, NAMES, random_state=0)
    model = SynaptileClassifier(random_state=0, epochs=5).fit(train, labels)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(test), model.predict_proba(test))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scaling": "minmax"}, "scaling must be z-score, none or a divisor, not 'minmax'"),
        ({"scaling": -2}, "scaling must be z-score, none or a divisor, not -2"),
        ({"scaling": np.nan}, "scaling must be z-score, none or a divisor, not nan"),
        ({"hidden_layer_sizes": (0,)}, "units must be a whole number of at least 1, not 0"),
        ({"activation": "swish"}, "activation must be one of linear, relu"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
        ({"configuration": "ecp5-9x9"}, "ecp5-9x9"),
        ({"device": "board"}, "device must be one of golden, sim"),
        ({"hidden_layer_sizes": (5000,)}, "a layer of 5001"),
    ],
)
def test_wrong_parameters_are_told_by_fit(options, message):
    model = SynaptileClassifier(**options)
    with pytest.raises((ValueError, KeyError), match=message):
        model.fit(IRIS.data, NAMES)
    with pytest.raises(NotFittedError):
        model.predict(IRIS.data)


def test_inputs_beyond_the_format_are_refused():
    with pytest.raises(ValueError, match="input"):
        SynaptileClassifier(scaling="none").fit(100 * IRIS.data, NAMES)
