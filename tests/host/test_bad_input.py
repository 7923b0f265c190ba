"""Bad input is refused at the edge: one message that says what came and what to do."""

import numpy as np
import pytest

from host.devices.device import DeviceError, open_device
from host.trainer import Trainer
from hw.configurations import configuration
from hw.isa import Control, Error, Region, Register, State
from synaptile import SGD, Dense, Neuron, Sequential
from tests.host.small_run import CONFIG, small_plan


def model(units=3, **options):
    return Sequential([Dense(4, "relu"), Dense(units)], device="golden", **options)


X, Y = np.zeros((6, 2)), np.array([0, 1, 2, 0, 1, 2])


def with_value(value):
    x = X.copy()
    x[4, 1] = value
    return x


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (with_value(np.nan), Y, r"nan stands in column 1, row 4"),
        (with_value(-np.inf), Y, r"-inf stands in column 1, row 4"),
        (with_value(100), Y, r"column 1 goes from 0 to 100; divide it by 2,? or choose .*Q7\.8"),
        (X, Y + 1, r"labels must be whole numbers from 0 to 2, not 3 \(sample 2\)"),
        (X, Y - 1, r"labels must be whole numbers from 0 to 2, not -1"),
        (X, Y + 0.5, r"labels must be whole numbers"),
        (X, ["a", "b", "c", "a", "b", "c"], r"targets of the training data must be numbers"),
        (X[:0], Y[:0], r"at least one sample, not none"),
        (X, np.zeros(6, int), r"at least two classes, not only 0"),
        (X, Y[:4], r"a target for each of 6 inputs, not 4"),
        (X[:, 0], Y, r"x must be an array of N x F, not \(6,\)"),
    ],
)
def test_data(x, y, message):
    with pytest.raises(ValueError, match=message.replace(",? or", ", or")):
        model().fit(x, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, not 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"validation_data": (X[:, :1], Y)}, r"inputs must be an array of N x 2"),
    ],
)
def test_options(options, message):
    with pytest.raises(ValueError, match=message):
        model().fit(X, Y, **options)


def test_a_network_too_large_says_what_it_needs():
    wide = Sequential([Dense(600, "relu"), Dense(3)], device="golden")
    with pytest.raises(ValueError, match=r"needs \d+ tiles of WEIGHT, ecp5-8x8 has 512: take narr"):
        wide.fit(np.zeros((6, 100)), Y)


def test_shapes_of_what_is_predicted():
    learned = model().fit(X, Y, epochs=1)
    for wrong in (np.zeros((3, 3)), np.zeros(2), np.zeros((0, 2))):
        with pytest.raises(ValueError, match="x must be N x 2"):
            learned.predict(wrong)
    with pytest.raises(ValueError, match="labels must be"):
        learned.evaluate(X, Y + 5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Dense(0), "units must be a whole number of at least 1, not 0"),
        (lambda: Dense(True), "units must be a whole number"),
        (lambda: Dense(3, "rellu"), "activation must be one of linear, relu,.* not 'rellu'"),
        (lambda: Dense(3, "relu", Neuron()), "neuron must be left out under the activation 'relu'"),
        (lambda: model(loss="huber"), "loss must be one of cross_entropy, mse, not 'huber'"),
        (lambda: SGD(0), "rate must be above 0"),
        (lambda: SGD(0.1, momentum=1), "momentum must be at least 0 and below 1"),
        (lambda: SGD(0.1, l2=-1), "decay must be at least 0"),
        (lambda: SGD(0.1, schedule="cosine"), r"schedule must be one such as Cosine\(\), not 'cos"),
        (lambda: Dense(3, frozen="no"), "frozen must be True or False, not 'no'"),
        (lambda: Sequential([], device="golden").fit(X, Y), "at least one layer"),
        (lambda: model(configuration="ecp6").fit(X, Y), "must be one of .*ecp5-8x8.* not 'ecp6'"),
        (lambda: Sequential([Dense(3)], device="fpga").fit(X, Y), "device must be one of golden"),
        (lambda: Sequential([Dense(3)], device="serial:").fit(X, Y), "named as .serial:PORT"),
        (lambda: model(optimizer=SGD(2.0)).fit(X, Y), "must be below 1 on the device"),
        (lambda: model(optimizer=SGD(1e-12)).fit(X, Y), "below the least constant"),
    ],
)
def test_networks_rules_and_devices(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_truncated_program_fails_and_the_device_can_go_on():
    plan = small_plan(epochs=1)
    with open_device("golden", CONFIG) as device:
        trainer = Trainer(device, plan)
        trainer.load()
        words = plan.compiled.program.copy()
        words[16 * 3 :] = 0xFFFF
        device.write(Region.PROGRAM, 0, words)
        with pytest.raises(DeviceError, match="instruction 3 .*UNKNOWN_OPCODE.*written whole") as e:
            trainer.train_epoch()
        assert e.value.error == Error.UNKNOWN_OPCODE
        device.write(Region.REGISTERS, Register.CONTROL, Control.STOP)
        assert device.poll().state == State.IDLE
        again = Trainer(device, plan)
        again.load()
        assert again.train_epoch().train["samples"] == 50


def test_nothing_is_written_before_all_is_checked(monkeypatch):
    opened = []
    monkeypatch.setattr("host.sequential.open_device", lambda *a, **k: opened.append(a))
    with pytest.raises(ValueError, match="finite"):
        model(configuration=configuration("ecp5-8x8")).fit(with_value(np.nan), Y)
    assert not opened
