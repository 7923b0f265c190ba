"""Updates of several batches are those of a single large one, to the bit; gradients are clipped."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.compiler import CompileError, compile_network
from host.devices.golden_device import GoldenDevice
from host.layers import Dense, build_network
from host.memory_map import Sums
from host.network import Rule, dense
from host.plan import make_plan
from host.program import CLIP_STATISTIC, Mode
from host.run_config import parse_config
from host.sequential import Sequential
from host.trainer import Trainer
from host.training.batch_schedule import WarmupCosine
from host.training.rate_range import RangeTest
from host.training.rules import SGD
from host.update_program import parts
from hw.configurations import configuration
from hw.isa import COUNTERS, GradientFlag, Opcode, Region, Register
from hw.numbers import MOMENTUM
from sim.compare import read_state
from tests.host.small_run import classes_data

FULL, PLAIN = configuration("ecp5-8x8-full"), configuration("ecp5-8x8")

LEARNED = (Region.WEIGHT, Region.MOMENTUM, Region.LFSR)


def plan_of(optimizer, *, batch_size, samples=50, epochs=2, config=FULL, layers=()):
    network = build_network(
        5, [*layers, Dense(7, "relu"), Dense(3)], loss="cross_entropy", classes=True
    )
    return make_plan(
        network, optimizer, config, classes_data(samples), epochs=epochs, batch_size=batch_size
    )


def learned(plan, device=None):
    """All that a run leaves behind for the next one, what it counted, and its reports."""
    with GoldenDevice(plan.compiled.config) as golden:
        trainer = Trainer(device or golden, plan)
        trainer.load()
        reports = list(trainer.reports())
        state = read_state(device or golden)
    return {region: state[region] for region in LEARNED}, reports


def counted(reports):
    """What was counted of the samples; not how long the array was busy, which batches differ in."""
    names = ("samples", "correct", "loss", "norm")
    totals = [{name: report.train[name] for name in names} for report in reports]
    return totals, [report.train.saturations.tolist() for report in reports]


def assert_equal(found, expected):
    for region in LEARNED:
        assert np.array_equal(found[0][region], expected[0][region]), region.name
    assert counted(found[1]) == counted(expected[1])


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    samples=st.integers(4, 60),
    batch=st.integers(1, 12),
    batches=st.integers(1, 9),
    clip_norm=st.sampled_from([None, 0.05, 0.3, 15.0]),
    momentum=st.sampled_from([0.0, 0.9]),
)
def test_batches_make_the_update_of_a_single_one(samples, batch, batches, clip_norm, momentum):
    rule = SGD(2**-3, momentum, 1e-3, clip_norm=clip_norm)
    single = plan_of(rule, batch_size=batch * batches, samples=samples)
    several = plan_of(
        replace(rule, accumulate_batches=batches), batch_size=batch, samples=samples
    )
    assert_equal(learned(several), learned(single))


def test_a_norm_within_the_threshold_changes_nothing():
    free, bounded = (
        learned(plan_of(SGD(2**-4, clip_norm=clip_norm), batch_size=8))
        for clip_norm in (None, 15.9)
    )
    for region in LEARNED:
        assert np.array_equal(free[0][region], bounded[0][region])
    assert not any(report.train.saturations[CLIP_STATISTIC] for report in bounded[1])
    assert all(report.train["norm"] for report in bounded[1])


def test_the_threshold_is_met_exactly():
    """A threshold of just the norm clips nothing, one that is the least bit smaller does."""
    unit = MOMENTUM.lsb
    (report,) = learned(plan_of(SGD(2**-4, clip_norm=15.9), batch_size=50, epochs=1))[1]
    above = -(-report.train["norm"] // 256)
    for threshold, clips in ((above, 0), (above - 1, 1)):
        plan = plan_of(SGD(2**-4, clip_norm=threshold * unit), batch_size=50, epochs=1)
        assert plan.compiled.registers[Register.CLIP_THRESHOLD] == threshold
        (report,) = learned(plan)[1]
        assert report.train.saturations[CLIP_STATISTIC] == clips


def test_a_schedule_by_batch_steps_with_every_update():
    rule = SGD(2**-3, schedule=WarmupCosine(0.5))
    assert rule.schedule.by_batch
    single = plan_of(rule, batch_size=18)
    several = plan_of(replace(rule, accumulate_batches=3), batch_size=6)
    assert several.batches == single.batches == 3
    assert several.factors == single.factors
    assert_equal(learned(several), learned(single))


def test_the_rate_range_takes_updates():
    ranges = []
    for batches, size in ((1, 18), (3, 6)):
        plan = plan_of(SGD(2**-3, accumulate_batches=batches, clip_norm=1.0), batch_size=size)
        with GoldenDevice(FULL) as device:
            test = RangeTest(plan, low=1e-3, high=0.1, batches=12)
            ranges.append(test.run(device).losses)
    assert ranges[0] == ranges[1] and len(ranges[0]) == 12


def test_three_layers_one_of_them_frozen():
    layers = [Dense(9, "tanh", frozen=True), Dense(9, "tanh")]
    for clip_norm in (None, 0.2):
        rule = SGD(2**-3, clip_norm=clip_norm)
        single = plan_of(rule, batch_size=24, layers=layers)
        several = plan_of(replace(rule, accumulate_batches=3), batch_size=8, layers=layers)
        assert_equal(learned(several), learned(single))


def test_the_program_of_an_update():
    assert parts(40, 16) == [16, 16, 8] and parts(16, 16) == [16] and parts(3, 16) == [3]
    network = dense((5, 7, 3))
    program = compile_network(
        network,
        Rule(rate=2**-4, clip_norm=1.0),
        config=FULL,
        train=[70, 24, 16],
        at_once=16,
    )
    flags = [
        [
            {flag for flag in GradientFlag if i.flags >> flag & 1}
            for i in program.instructions[start:end]
            if i.opcode == Opcode.GRADIENT and i.rows == 3
        ]
        for start, end in zip(
            program.entries.values(), [*list(program.entries.values())[1:], None], strict=True
        )
    ]
    hold, add, norm, clip = GradientFlag
    assert flags == [
        [{hold}, {add, hold}, {add, hold, norm}, {clip}],
        [{hold}, {add, hold, norm}, {clip}],
        [{hold, norm}, {clip}],
    ]
    repeats = [i for i in program.instructions if i.opcode == Opcode.REPEAT]
    # Of 16, 16, 16, 16 and 6 samples the three between the first and the last are the same.
    assert [i.columns for i in repeats] == [3]
    assert program.instructions[repeats[0].rows].opcode == Opcode.ACQUIRE
    assert program.instructions[repeats[0].rows].columns == 16
    listing = program.listing()
    assert "GRADIENT 1+1,1 <- GRADIENT + DELTA" in listing and "and its norm" in listing
    assert "<- clipped GRADIENT" in listing and "3 times in all" in listing


def test_what_is_not_accumulated_has_the_programs_of_any_device():
    sizes = {"train": [16, 5], "evaluate": [5]}
    programs = [
        compile_network(dense((5, 7, 3)), Rule(rate=2**-4), config=config, **sizes)
        for config in (FULL, PLAIN)
    ]
    assert programs[0].instructions == programs[1].instructions
    assert not programs[0].memory.sums
    assert programs[0].entry(Mode.TRAIN, 5) == programs[1].entry(Mode.TRAIN, 5)


def test_sums_have_the_places_of_weights():
    rule = Rule(rate=2**-4, clip_norm=1.0)
    program = compile_network(dense((5, 17, 3)), rule, config=FULL, train=[16])
    memory, rng = program.memory, np.random.default_rng(1)
    with GoldenDevice(FULL) as device:
        words = rng.integers(0, 1 << 16, 2 * 64 * FULL.weight_tiles).astype(np.uint16)
        device.write(Region.GRADIENT, 0, words)
        for sums in memory.sums:
            assert isinstance(sums, Sums)
            found = sums.read(device)
            assert found.shape == (sums.weight.layout.rows, sums.weight.layout.columns)
            for row, column in ((0, 0), (2, 5)):
                address = sums.weight.layout.addresses()[row, column]
                low, high = words[2 * address], words[2 * address + 1]
                assert int(found[row, column]) & 0xFFFFFFFF == int(high) << 16 | int(low)
                place = memory.locate(Region.GRADIENT, 2 * int(address) + 1)
                assert place == f"{sums}, row {row}, column {column}"
    assert memory.extents()[Region.GRADIENT] == 2 * memory.extents()[Region.WEIGHT]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulate_batches": 2}, "ecp5-8x8 cannot add: .* or take ecp5-8x8-full"),
        ({"clip_norm": 1.0}, "clips the gradient, which ecp5-8x8 leaves out: .* ecp5-8x8-full"),
    ],
)
def test_other_devices_are_refused(options, message):
    with pytest.raises(CompileError, match=message):
        plan_of(SGD(2**-4, **options), batch_size=8, config=PLAIN)


def test_bad_rules_are_refused():
    for count in (0, 1.5, True):
        with pytest.raises(ValueError, match="accumulate_batches must be a whole number >= 1"):
            SGD(accumulate_batches=count)
    for norm in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="clip_norm must be above 0 and finite"):
            SGD(clip_norm=norm)
    for norm in (2.0**-14, 16.0):
        with pytest.raises(CompileError, match=r"clip_norm must be from 0.000244141 to 15.9998"):
            plan_of(SGD(clip_norm=norm), batch_size=8)
    program = plan_of(SGD(clip_norm=1.0), batch_size=8).compiled
    with pytest.raises(CompileError, match="programs clip the gradient where"):
        program.rule_registers(Rule(rate=2**-4))


def test_too_much_for_the_device_is_refused():
    small = replace(FULL, program_length=48)
    with pytest.raises(CompileError, match="programs need .* as many, that divide the data set"):
        plan_of(SGD(accumulate_batches=4), batch_size=7, config=small)
    for size in (0, 2.5):
        with pytest.raises(CompileError, match="at_once must be a whole number of samples >= 1"):
            compile_network(
                dense((5, 3)), Rule(rate=0.1), config=FULL, train=[8], at_once=size
            )
    narrow = replace(FULL, accumulator_width=36)
    assert narrow.max_depth == 30
    with pytest.raises(CompileError, match="at most 32 batches on ecp5-8x8-full, not 33"):
        compile_network(dense((5, 3)), Rule(rate=0.1), config=narrow, train=[33], at_once=1)
    most = compile_network(dense((5, 3)), Rule(rate=0.1), config=narrow, train=[32], at_once=1)
    assert any(i.opcode == Opcode.REPEAT and i.columns == 30 for i in most.instructions)


def test_configuration_and_networks_take_both():
    tables = {
        "data": {"name": "digits", "scaling": 16},
        "network": {"layers": [{"units": 10}]},
        "training": {"accumulate_batches": 4, "clip_norm": 0.5, "batch_size": 8},
    }
    optimizer = parse_config(tables).training.optimizer()
    assert (optimizer.accumulate_batches, optimizer.clip_norm) == (4, 0.5)
    x, y = classes_data(40)
    weights = []
    for count, size in ((1, 16), (4, 4)):
        with Sequential(
            [Dense(7, "relu"), Dense(3)],
            optimizer=SGD(2**-4, accumulate_batches=count, clip_norm=0.5),
            device="golden",
            configuration="ecp5-8x8-full",
        ) as network:
            weights.append(network.fit(x, y, epochs=2, batch_size=size).weights_)
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def test_the_norm_is_that_of_the_gradient():
    """Of a single update, whose gradient the momentum holds to its stochastic rounding."""
    plan = plan_of(SGD(2**-4, 0.5, clip_norm=15.9), batch_size=50, epochs=1)
    with GoldenDevice(FULL) as device:
        trainer = Trainer(device, plan)
        trainer.load()
        (report,) = trainer.reports()
        momenta = [t.read(device) * t.fmt.lsb for t in plan.compiled.memory.momentum]
    lsb = MOMENTUM.lsb
    expected = np.sqrt(sum(np.sum(momentum**2) for momentum in momenta))
    norm = report.train["norm"] * lsb / 256
    assert abs(norm - expected) <= lsb * np.sqrt(sum(m.size for m in momenta)) + lsb
    assert norm > 100 * lsb
    assert COUNTERS["norm"].address + 4 == COUNTERS["saturations"].address

