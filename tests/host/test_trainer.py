"""The trainer: batches of every size, order, schedule, statistics, and a clean stop."""

import signal

import numpy as np
import pytest

from host import streaming
from host.devices.device import open_device
from host.plan import ORDER_SEED, batch_sizes
from host.program import Mode
from host.statistics import Counts, mac_utilisation, useful_macs
from host.streaming import Interruption, Run, runs
from host.trainer import Trainer, evaluate, predict
from host.training.rules import SGD
from host.training.schedule import Constant, Piecewise, StepDecay
from hw.isa import Region, State
from sim.compare import Every, Lockstep, differing_words, read_state
from tests.host.small_run import CONFIG, classes_data, small_plan, trained


@pytest.mark.parametrize("batch_size", [1, 7, 8, 32, 49, 50, 51])
def test_every_batch_size_learns_from_every_sample_once(batch_size):
    _, reports = trained(small_plan(batch_size=batch_size))
    assert [report.train["samples"] for report in reports] == [50, 50, 50]
    assert [report.test["samples"] for report in reports] == [20, 20, 20]
    assert reports[-1].train_loss < reports[0].train_loss


def test_runs_split_where_the_device_counts_no_further():
    assert runs(10, 4) == [Run(4, 2), Run(2, 1)]
    assert runs(3, 4) == [Run(3, 1)]
    assert runs(2 * 0xFFFF + 1, 1) == [Run(1, 0xFFFF), Run(1, 0xFFFF), Run(1, 1)]
    assert batch_sizes(3, 4) == [3] and batch_sizes(8, 4) == [4]


def test_split_runs_end_with_the_same_bits(monkeypatch):
    whole, _ = trained(small_plan(batch_size=4))
    monkeypatch.setattr(streaming, "MAX_ROUNDS", 3)
    split, _ = trained(small_plan(batch_size=4))
    assert not list(differing_words(whole, split))


def test_a_seed_decides_every_bit():
    first, again, other = (trained(small_plan(seed=seed))[0] for seed in (1, 1, 2))
    assert not list(differing_words(first, again))
    assert Region.WEIGHT in dict(differing_words(first, other))


def test_samples_come_in_the_seeds_order():
    plan = small_plan(seed=5)
    with open_device("golden", CONFIG) as device:
        trainer = Trainer(device, plan)
        order = np.random.default_rng(ORDER_SEED + 5)
        for _ in range(2):
            expected = plan.train.rows[order.permutation(50)]
            assert np.array_equal(trainer._begin_epoch().rows, expected)
            trainer.epoch += 1


def test_a_run_by_commands_ends_with_the_same_bits():
    plan = small_plan(epochs=1)
    whole, _ = trained(plan)
    devices = [open_device("golden", CONFIG) for _ in range(2)]
    with Lockstep(*devices, every=Every.COMMAND) as pair:
        trainer = Trainer(pair, plan)
        trainer.load()
        trainer.train_epoch()
        assert pair.commands > 50
        assert not list(differing_words(whole, read_state(devices[0])))


def test_a_schedule_rewrites_the_rate():
    schedule = StepDecay(decay=0.5, every=2)
    plan = small_plan(optimizer=SGD(2**-4, schedule=schedule), epochs=4)
    _, reports = trained(plan)
    assert [report.rate for report in reports] == [2**-4, 2**-4, 2**-5, 2**-5]
    constant = trained(small_plan(epochs=4))[0]
    assert Region.WEIGHT in dict(differing_words(constant, trained(plan)[0]))


def test_schedules_follow_their_formulas():
    assert [Constant().factor(e, 3) for e in range(3)] == [1, 1, 1]
    piecewise = [Piecewise().factor(e, 20) for e in range(20)]
    assert piecewise == [1] * 12 + [1 / 4] * 5 + [1 / 16] * 3
    assert StepDecay().factor(199, 500) == 1 and StepDecay().factor(400, 500) == 0.9**2
    for wrong in (
        lambda: StepDecay(decay=0),
        lambda: StepDecay(every=0),
        lambda: Piecewise(until=(0.5,)),
        lambda: Piecewise(until=(0.8, 0.2)),
        lambda: Piecewise(factors=(1, 0, 1)),
    ):
        with pytest.raises(ValueError, match="must"):
            wrong()


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_statistics_are_those_of_the_predictions(loss):
    plan = small_plan(loss=loss)
    x, y = classes_data(21, seed=9)
    with open_device("golden", CONFIG) as device:
        trainer = Trainer(device, plan)
        trainer.load()
        list(trainer.reports())
        words = plan.compiled.read_weights(device)
        outputs = predict(device, plan.network, words, x)
        counts = evaluate(device, plan.network, words, x, y)
    assert counts["samples"] == 21
    assert counts["correct"] == np.sum(outputs.argmax(axis=1) == y)
    if loss == "mse":
        fraction = plan.network.output_format.fraction
        assert counts["loss"] == np.sum((outputs - np.eye(3)[y]) ** 2) * 4**fraction
    else:
        exact = np.log(np.exp(outputs).sum(axis=1)) - outputs[np.arange(21), y]
        # The exponentials come to 2**-15 each, the logarithm's table steps by 2**-8.
        assert abs(counts["loss"] / 2**16 / 21 - exact.mean()) < 2**-8


def test_useful_macs_are_those_of_forward_backward_and_gradient():
    plan = small_plan()
    first, second = 7 * 5, 3 * 7
    assert useful_macs(plan.network) == 2 * first + 3 * second
    totals = {**Counts.zero().totals, "cycles": 100, "waiting": 20, "samples": 10}
    counts = Counts(totals, Counts.zero().saturations)
    expected = 10 * (2 * first + 3 * second) / (64 * 80)
    assert mac_utilisation(plan.network, CONFIG, counts) == expected
    assert mac_utilisation(plan.network, CONFIG, Counts.zero()) is None


def test_an_interruption_stops_the_device_between_batches():
    previous = signal.getsignal(signal.SIGINT)
    plan = small_plan()
    with open_device("golden", CONFIG) as device, Interruption() as interruption:
        trainer = Trainer(device, plan, interruption=interruption)
        trainer.load()
        trainer.train_epoch()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            trainer.train_epoch()
        streaming.stop(device)
        assert device.poll().state == State.IDLE
        assert device.poll().credits == 2
        again = Trainer(device, plan)
        again.load()
        list(again.reports())
        assert not list(differing_words(read_state(device), trained(plan)[0]))
    assert signal.getsignal(signal.SIGINT) is previous


def test_a_second_interruption_is_not_put_off():
    # What a shell starts in the background ignores the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Interruption():
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_programs_exist_for_exactly_the_sizes_that_occur():
    plan = small_plan(batch_size=9)
    sizes = {mode: {n for kind, n in plan.compiled.entries if kind == mode} for mode in Mode}
    # Evaluation walks whole batch tiles: 20 samples in batches of 16.
    assert sizes == {Mode.TRAIN: {9, 5}, Mode.EVALUATE: {16, 4}, Mode.PREDICT: set()}
