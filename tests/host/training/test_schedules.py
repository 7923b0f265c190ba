"""Schedules equal PyTorch's schedulers over 1000 steps, as factors and as the device's constants.

A scheduler of PyTorch multiplies its way from step to step, or adds up what cancels; what that may
amount to is in units of the last place of 1 and grows with the steps.
"""

import warnings

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as theirs

from host.compiler import rule_registers
from host.network import Rule, dense
from host.training.batch_schedule import Cyclic, OneCycle, WarmupCosine
from host.training.plateau import ReduceOnPlateau
from host.training.rules import SGD
from host.training.schedule import Constant, Cosine, Exponential, Piecewise, StepDecay
from host.training.tables import SCHEDULES, ScheduleTable
from hw.configurations import CONFIGURATIONS
from hw.isa import Register

STEPS, RATE = 1000, 0.0625
ULP = 2.0**-52


def optimizer():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], RATE)


def warmup_cosine(sgd):
    rise = theirs.LinearLR(sgd, start_factor=0.01, total_iters=100)
    fall = theirs.CosineAnnealingLR(sgd, T_max=STEPS - 100, eta_min=RATE * 0.05)
    return theirs.SequentialLR(sgd, [rise, fall], milestones=[100])


def cyclic(sgd, rise, fall):
    return theirs.CyclicLR(
        sgd, RATE / 8, RATE, step_size_up=rise, step_size_down=fall, cycle_momentum=False
    )


PAIRS = {
    "step": (StepDecay(0.9, 30), lambda sgd: theirs.StepLR(sgd, 30, 0.9)),
    "exponential": (Exponential(0.99), lambda sgd: theirs.ExponentialLR(sgd, 0.99)),
    "cosine": (Cosine(), lambda sgd: theirs.CosineAnnealingLR(sgd, STEPS)),
    "cosine to 0.1": (
        Cosine(0.1),
        lambda sgd: theirs.CosineAnnealingLR(sgd, STEPS, eta_min=RATE * 0.1),
    ),
    "warm-up": (WarmupCosine(warmup=0.1, least=0.05), warmup_cosine),
    "cyclic": (Cyclic(1 / 8, 70), lambda sgd: cyclic(sgd, 70, None)),
    "cyclic, uneven": (Cyclic(1 / 8, 30, 90), lambda sgd: cyclic(sgd, 30, 90)),
    "one cycle": (
        OneCycle(warmup=0.3, start=1 / 25, least=1 / 25 / 1e4),
        lambda sgd: theirs.OneCycleLR(sgd, RATE, total_steps=STEPS, cycle_momentum=False),
    ),
}


def their_rates(make, values=None):
    """The rates of 1000 steps; those of a plateau follow values."""
    sgd = optimizer()
    rates = []
    with warnings.catch_warnings():
        # No step of the optimizer comes before the scheduler's; SequentialLR names its step.
        warnings.simplefilter("ignore")
        scheduler = make(sgd)
        for step in range(STEPS):
            rates.append(sgd.param_groups[0]["lr"])
            if step < STEPS - 1:
                scheduler.step(*(() if values is None else (values[step],)))
    return np.array(rates)


def constants(rates, width):
    """(mantissa, shift) as numbers, and their LSB, of a device that keeps `width` bits."""
    config = next(c for c in CONFIGURATIONS.values() if c.rate_width == width)
    network = dense((2, 3))
    found = [rule_registers(Rule(rate=RATE), network, config, rate / RATE) for rate in rates]
    shifts = np.array([each[Register.RATE_SHIFT] for each in found])
    mantissas = np.array([each[Register.RATE] for each in found])
    return mantissas * 2.0 ** -(16 + shifts), 2.0 ** -(width + shifts)


@pytest.mark.parametrize("name", PAIRS)
def test_factors_are_pytorchs(name):
    schedule, make = PAIRS[name]
    ours = np.array([schedule.factor(step, STEPS) for step in range(STEPS)])
    rates = their_rates(make)
    error = np.abs(ours - rates / RATE)
    print(name, "at most", error.max() / ULP, "ulp")
    # Three roundings a step, of values up to 1 that PyTorch takes from one step to the next.
    assert np.all(error <= (4 + 3 * np.arange(STEPS)) * ULP)
    assert error.max() <= 24 * ULP
    assert ours.min() > 0 and ours.max() <= 1


@pytest.mark.parametrize("width", sorted({c.rate_width for c in CONFIGURATIONS.values()}))
@pytest.mark.parametrize("name", PAIRS)
def test_constants_of_the_device_are_pytorchs_to_the_lsb(name, width):
    schedule, make = PAIRS[name]
    rates = RATE * np.array([schedule.factor(step, STEPS) for step in range(STEPS)])
    (ours, lsb), (expected, _) = constants(rates, width), constants(their_rates(make), width)
    assert np.all(np.abs(ours - expected) <= lsb)
    assert np.count_nonzero(ours != expected) <= 2
    assert np.all(np.abs(ours - rates) <= lsb / 2)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("cooldown", [0, 4])
def test_a_plateau_is_pytorchs(mode, cooldown):
    rng = np.random.default_rng(7)
    fall = np.exp(-np.arange(STEPS) / 80) + rng.normal(0, 0.02, STEPS) + 1
    values = fall if mode == "min" else -fall + 4
    ours = ReduceOnPlateau(
        decay=0.7, patience=6, threshold=1e-3, cooldown=cooldown, least=0.01, monitor="loss",
        mode=mode,
    )
    rates = their_rates(
        lambda sgd: theirs.ReduceLROnPlateau(
            sgd, mode, factor=0.7, patience=6, threshold=1e-3, cooldown=cooldown,
            min_lr=0.01 * RATE, eps=0,
        ),
        values,
    )
    figures = [{"loss": value} for value in values]
    shown = [0, 1, 5, *range(20, STEPS, 7)]
    factors = np.array([ours.factor_after(figures[:step]) for step in shown])
    assert len(set(factors)) > 10 and factors[-1] == 0.01
    np.testing.assert_array_max_ulp(factors, rates[shown] / RATE, 16)


def test_a_short_run_has_its_schedule_too():
    for schedule in (OneCycle(), WarmupCosine(), Cosine(), Cyclic(rise=1)):
        for steps in (1, 2, 3):
            factors = [schedule.factor(step, steps) for step in range(steps)]
            assert all(0 < factor <= 1 for factor in factors), schedule


def test_factors_by_epoch_and_by_batch():
    assert len(SGD(0.1, schedule=Cosine()).factors(5, 7)) == 5
    cycle = SGD(0.1, schedule=OneCycle()).factors(5, 7)
    assert cycle == [OneCycle().factor(step, 35) for step in range(35)]
    assert SGD(0.1, schedule=ReduceOnPlateau()).factors(5, 7) == [1]


def test_a_rate_that_a_schedule_has_brought_to_nothing_is_0():
    network, config = dense((2, 3)), CONFIGURATIONS["ecp5-8x8"]
    rule = Rule(rate=RATE, decay=0.1)
    registers = rule_registers(rule, network, config, 1e-12)
    assert registers[Register.RATE] == registers[Register.DECAY] == 0
    with pytest.raises(ValueError, match="rate = 6.25e-14 is below the least constant"):
        rule_registers(Rule(rate=RATE * 1e-12), network, config)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Exponential(0), "decay must be above 0 and at most 1, not 0"),
        (lambda: Exponential(float("nan")), "decay must be above 0"),
        (lambda: Cosine(-0.1), "least must be at least 0 and at most 1, not -0.1"),
        (lambda: WarmupCosine(warmup=1), "warmup must be at least 0 and below 1, not 1"),
        (lambda: WarmupCosine(start=0), "start must be above 0"),
        (lambda: Cyclic(rise=0), "rise must be at least 1 batch, a whole number, not 0"),
        (lambda: Cyclic(fall=-1), "fall must be at least 0 batches"),
        (lambda: Cyclic(rise=2.5), "rise must be at least 1 batch, a whole number, not 2.5"),
        (lambda: OneCycle(warmup=0), "warmup must be above 0 and below 1"),
        (lambda: OneCycle(least=0), "least must be above 0"),
        (lambda: Piecewise((), (float("nan"),)), "every factor must be above 0"),
        (lambda: ReduceOnPlateau(decay=1), "decay must be above 0 and below 1, not 1"),
        (lambda: ReduceOnPlateau(patience=-1), "patience must be at least 0 epochs"),
        (lambda: ReduceOnPlateau(threshold=float("inf")), "threshold must be at least 0 and below"),
        (lambda: ReduceOnPlateau(cooldown=-1), "cooldown must be at least 0 epochs"),
        (lambda: ReduceOnPlateau(monitor="test_loss"), "monitor must be one of loss, accuracy, va"),
        (lambda: ReduceOnPlateau(mode="least"), "mode must be one of min, max, auto, not 'least'"),
    ],
)
def test_wrong_schedules(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_each_kind_takes_its_own_keys():
    names = set(ScheduleTable.model_fields) - {"kind"}
    used = {field for kind in SCHEDULES for field in ScheduleTable.keys_of(kind)}
    assert used == names
    assert all(ScheduleTable(kind=k).schedule() == each() for k, each in SCHEDULES.items())
    table = ScheduleTable(kind="plateau", monitor="accuracy", patience=3)
    assert table.schedule() == ReduceOnPlateau(monitor="accuracy", patience=3)
    assert ScheduleTable().schedule() == Constant()
