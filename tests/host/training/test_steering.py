"""How a run is steered: rates by batch and by plateau, early stopping, layers that are frozen."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from host.commands.cli import app
from host.compiler import CompileError
from host.devices.device import open_device
from host.layers import Dense, build_network
from host.plan import make_plan
from host.program import Mode
from host.statistics import useful_macs
from host.streaming import run_batches
from host.trainer import Trainer
from host.training.batch_schedule import Cyclic, OneCycle, WarmupCosine
from host.training.plateau import ReduceOnPlateau
from host.training.rules import SGD
from host.training.stopping import EarlyStopping
from hw.isa import Opcode, Region, Register
from sim.compare import differing_words, read_state
from synaptile import Sequential
from tests.host.small_run import CONFIG, classes_data, small_plan, trained

LAYERS = [Dense(7, "relu"), Dense(6, "relu"), Dense(3)]


def plan_of(layers=LAYERS, *, epochs=3, schedule=None, stopping=None, validation=None, test=20):
    optimizer = SGD(2**-4, **({} if schedule is None else {"schedule": schedule}))
    return make_plan(
        build_network(5, layers, loss="cross_entropy", classes=True),
        optimizer,
        CONFIG,
        classes_data(50),
        classes_data(test, seed=4),
        epochs=epochs,
        batch_size=8,
        validation=validation or classes_data(20, seed=5),
        stopping=stopping,
    )


def frozen(*which, layers=LAYERS):
    """The layers, with those numbered from 1 frozen."""
    return [
        Dense(layer.units, layer.activation, frozen=number in which)
        for number, layer in enumerate(layers, start=1)
    ]


# Rates by batch


def test_every_batch_learns_with_its_own_rate():
    plan = plan_of(schedule=OneCycle(), epochs=2)
    device = open_device("golden", CONFIG)
    written, write = [], device.write

    def noted(region, address, words):
        if region == Region.REGISTERS and address == Register.START:
            written.append(int(device.read(Region.REGISTERS, Register.RATE, 1)[0]))
        write(region, address, words)

    trainer = Trainer(device, plan)
    trainer.load()
    device.write = noted
    reports = [trainer.train_epoch() for _ in range(2)]
    # An epoch has 7 batches, then an evaluation of the validation and one of the test samples,
    # 16 + 4 each.
    rates = [rate for start in (0, 11) for rate in written[start : start + 7]]
    factors = [OneCycle().factor(step, 14) for step in range(14)]
    registers = [plan.compiled.rule_registers(plan.optimizer.rule(), f) for f in factors]
    assert rates == [each[Register.RATE] for each in registers] and len(set(rates)) == 14
    assert [report.rate for report in reports] == [2**-4 * factors[6], 2**-4 * factors[13]]
    assert [report.train["samples"] for report in reports] == [50, 50]


def test_batches_one_by_one_end_with_the_bits_of_a_run():
    same = WarmupCosine(warmup=0, least=1)
    assert {same.factor(step, 21) for step in range(21)} == {1}
    by_batch, constant = trained(plan_of(schedule=same))[0], trained(plan_of())[0]
    assert not list(differing_words(by_batch, constant))


def test_a_triangle_of_rates_is_not_their_mean():
    cyclic, constant = trained(plan_of(schedule=Cyclic(rise=3)))[0], trained(plan_of())[0]
    assert Region.WEIGHT in dict(differing_words(cyclic, constant))


def test_a_plateau_lowers_the_rate_by_what_was_seen():
    schedule = ReduceOnPlateau(decay=0.5, patience=0, threshold=0.05)
    _, reports = trained(plan_of(schedule=schedule, epochs=12))
    figures = [report.figures for report in reports]
    rates = [2**-4 * schedule.factor_after(figures[:epoch]) for epoch in range(12)]
    assert [report.rate for report in reports] == rates
    assert 2**-4 == rates[0] > rates[-1]


# Early stopping


def test_the_best_is_the_first_that_nothing_passes_by_min_delta():
    values = [3.0, 2.0, 1.95, 2.5, 1.8, 1.79]
    figures = [{"loss": value, "accuracy": value} for value in values]
    stopping = EarlyStopping(patience=2, min_delta=0.1, monitor="loss")
    assert [stopping.best(figures[:n]) for n in range(7)] == [None, 0, 1, 1, 1, 4, 4]
    assert [stopping.ends(figures[:n]) for n in range(7)] == [False] * 4 + [True, False, False]
    assert EarlyStopping(monitor="accuracy").best(figures) == 0
    assert EarlyStopping(monitor="accuracy", mode="min").best(figures) == 5
    assert (EarlyStopping().patience, EarlyStopping().min_delta) == (50, 1e-6)


def test_training_ends_early_with_the_best_weights():
    stopping = EarlyStopping(patience=3, min_delta=0.02)
    plan = plan_of(stopping=stopping, epochs=60)
    state, reports = trained(plan)
    losses = [report.val_loss for report in reports]
    best = stopping.best([report.figures for report in reports])
    print(losses)
    assert len(reports) == best + 1 + 3 < 60
    assert losses[best] < min(losses[:best])
    shorter, _ = trained(plan_of(epochs=best + 1))
    assert np.array_equal(state[Region.WEIGHT], shorter[Region.WEIGHT])
    assert not np.array_equal(state[Region.WEIGHT], trained(plan_of(epochs=best + 4))[0][
        Region.WEIGHT
    ])


def test_a_run_of_all_its_epochs_ends_with_the_best_weights_too():
    stopping = EarlyStopping(min_delta=0.2)
    state, reports = trained(plan_of(stopping=stopping, epochs=20))
    best = stopping.best([report.figures for report in reports])
    assert len(reports) == 20 and best < 19
    shorter, _ = trained(plan_of(epochs=best + 1))
    assert np.array_equal(state[Region.WEIGHT], shorter[Region.WEIGHT])


def test_test_samples_decide_nothing():
    stopping = EarlyStopping(patience=3, min_delta=0.02)
    schedule = ReduceOnPlateau(decay=0.5, patience=1)
    states = [
        trained(plan_of(stopping=stopping, schedule=schedule, epochs=60, test=test))
        for test in (20, 4)
    ]
    (first, reports), (second, others) = states
    assert [r.test_loss for r in reports] != [r.test_loss for r in others]
    assert np.array_equal(first[Region.WEIGHT], second[Region.WEIGHT])


# Frozen layers


def learning_opcodes(plan):
    entry = plan.compiled.entry(Mode.TRAIN, 8)
    end = [i.opcode for i in plan.compiled.instructions[entry:]].index(Opcode.END)
    instructions = plan.compiled.instructions[entry : entry + end]
    return [i.opcode.name for i in instructions if i.opcode in (Opcode.BACKWARD, Opcode.GRADIENT)]


@pytest.mark.parametrize(
    ("which", "backward", "gradient"),
    [((), 2, 3), ((1,), 1, 2), ((1, 2), 0, 1), ((2,), 2, 2), ((3,), 2, 2), ((2, 3), 2, 1)],
)
def test_what_is_frozen_is_left_out_and_stays(which, backward, gradient):
    plan = plan_of(frozen(*which))
    opcodes = learning_opcodes(plan)
    assert opcodes.count("BACKWARD") == backward and opcodes.count("GRADIENT") == gradient
    with open_device("golden", CONFIG) as device:
        trainer = Trainer(device, plan)
        trainer.load()
        list(trainer.reports())
        words = plan.compiled.read_weights(device)
    still = [np.array_equal(w, first) for w, first in zip(words, plan.weights, strict=True)]
    assert still == [number in which for number in (1, 2, 3)]


def test_the_layers_behind_a_frozen_one_learn_as_ever():
    """One batch: what learns gets the bits that it gets where nothing is frozen."""
    whole, part = plan_of(), plan_of(frozen(1))
    found = []
    for plan in (whole, part):
        with open_device("golden", CONFIG) as device:
            trainer = Trainer(device, plan)
            trainer.load()
            # Rounds as if each draw of an LFSR were the same: layers draw in turn, the last first.
            samples = plan.train.shuffled(np.arange(8))
            trainer._begin_epoch()
            run_batches(device, plan.compiled, Mode.TRAIN, samples, 8)
            found.append(plan.compiled.read_weights(device))
    assert all(map(np.array_equal, found[0][1:], found[1][1:]))


def test_all_layers_frozen_is_refused():
    with pytest.raises(CompileError, match="at least one layer must learn, but all of them are"):
        plan_of(frozen(1, 2, 3))


def test_useful_macs_leave_out_what_frozen_layers_save():
    first, second, third = 5 * 7, 7 * 6, 6 * 3
    macs = useful_macs(plan_of(frozen(1)).network)
    assert macs == first + 2 * (second + third) + third
    assert useful_macs(plan_of(frozen(1, 2)).network) == first + second + 2 * third


# Golden and gateware


@pytest.mark.simulator
def test_golden_and_gateware_are_steered_alike():
    """Rates by batch, a frozen layer and an early end: the same figures, the same words."""
    stopping = EarlyStopping(patience=2, min_delta=0.05)
    plan = plan_of(frozen(1), schedule=Cyclic(rise=4), stopping=stopping, epochs=20)
    states, figures = [], []
    for name in ("golden", "sim"):
        with open_device(name, CONFIG) as device:
            trainer = Trainer(device, plan)
            trainer.load()
            assert 4 <= len(list(trainer.reports())) < 20
            assert all(map(np.array_equal, plan.compiled.read_weights(device), trainer.best))
            states.append(read_state(device))
            figures.append(trainer.figures)
    assert figures[0] == figures[1]
    assert not list(differing_words(*states))


# Bad input and the whole way from a file


def test_what_is_watched_must_be_there():
    with pytest.raises(ValueError, match="validation samples for val_loss: set some aside"):
        small_plan(optimizer=SGD(2**-4, schedule=ReduceOnPlateau()))
    x, y = classes_data()
    model = Sequential([Dense(1)], loss="mse", optimizer=SGD(2**-5), device="golden")
    with pytest.raises(ValueError, match="monitor must be a loss where targets are values"):
        model.fit(x, y / 2, early_stopping=EarlyStopping(monitor="accuracy"))
    for wrong, message in (
        ({"patience": 0}, "patience must be at least 1 epoch"),
        ({"min_delta": -1}, "min_delta must be at least 0 and finite, not -1"),
        ({"min_delta": float("nan")}, "min_delta must be at least 0 and finite, not nan"),
        ({"monitor": "test_accuracy"}, "monitor must be one of loss, accuracy, val_loss"),
    ):
        with pytest.raises(ValueError, match=message):
            EarlyStopping(**wrong)


def test_sequential_stops_early():
    x, y = classes_data(90)
    model = Sequential(LAYERS, optimizer=SGD(2**-4), device="golden")
    options = {"validation_split": 0.2, "early_stopping": EarlyStopping(patience=4)}
    model.fit(x, y, epochs=200, batch_size=8, **options)
    losses = model.history_["val_loss"]
    assert len(losses) == model.best_epoch_ + 4 < 200
    assert losses[model.best_epoch_ - 1] == min(losses)
    assert model.counts_["samples"] == 72 * len(losses)
    assert model.fit(x, y, epochs=1).best_epoch_ is None
    with pytest.raises(ValueError, match="validation_split must be left out where validation_dat"):
        model.fit(x, y, validation_split=0.2, validation_data=(x, y))
    with pytest.raises(ValueError, match="validation must be above 0 and below 1, not 1.5"):
        model.fit(x, y, validation_split=1.5)


TABLES = """
[data]
name = "iris"
scaling = "z-score"
[network]
layers = [{ units = 6, activation = "relu" }, { units = 3 }]
[training]
learning_rate = 0.0625
epochs = 80
batch_size = 16
[training.schedule]
kind = "plateau"
patience = 3
[training.early_stopping]
patience = 5
monitor = "val_accuracy"
"""


def test_a_file_is_steered_by_its_validation_samples(tmp_path):
    (tmp_path / "c.toml").write_text(TABLES)
    command = ["train", tmp_path / "c.toml", "--device", "golden", "--out", tmp_path / "run"]
    result = CliRunner().invoke(app, [str(each) for each in command])
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "96 samples to learn, 24 to validate, 30 to test" in said
    assert "train acc val acc test acc" in said
    values = json.loads((tmp_path / "run" / "result.json").read_text())
    shares = values["val_accuracy"]
    assert len(shares) == len(values["val_loss"]) == values["epochs"] < 80
    assert values["best_epoch"] == shares.index(max(shares)) + 1 == values["epochs"] - 5
    assert values["test_accuracy"] == values["test_accuracy_per_epoch"][values["best_epoch"] - 1]
    assert f"with the weights of epoch {values['best_epoch']}, the best one" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"plateau"', '"cosine"'), "patience must be left out, as it belongs to the kinds 'plate"),
        (('"plateau"', '"cosin"'), "training.schedule.kind should be"),
        (("patience = 3", "threshold = nan"), "training.schedule: threshold must be at least 0"),
        (("patience = 5", "patience = 0"), "training.early_stopping: patience must be at least 1"),
        (("patience = 5", "min_delta = -1"), "early_stopping: min_delta must be at least 0"),
        (('"val_accuracy"', '"test_accuracy"'), "training.early_stopping.monitor should be"),
        (("epochs = 80", "validation = 1.0"), "training.validation should be less than 1"),
        (("epochs = 80", "validation = 0.01"), "120 training samples cannot be split for"),
    ],
)
def test_wrong_tables_are_explained(tmp_path, change, message):
    (tmp_path / "c.toml").write_text(TABLES.replace(*change))
    command = ["train", tmp_path / "c.toml", "--device", "golden", "--out", tmp_path / "run"]
    result = CliRunner().invoke(app, [str(each) for each in command])
    assert result.exit_code == 2 and message in " ".join(result.output.split()), result.output
    assert not (tmp_path / "run").exists()
