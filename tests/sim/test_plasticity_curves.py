"""The plasticity rules against references in floating point, on golden and on the gateware.

STDP window: Brian2 (Stimberg, Brette & Goodman 2019) with the same constants. The bounds are those
that follow from the formats; the worst deviation is printed.
"""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from host.compiler import write_registers
from host.devices.device import Device, open_device
from host.spiking.curves import Window, WindowTest
from host.spiking.network import Formats
from host.spiking.rules import PairSTDP
from host.spiking.spike_pair import SpikePair
from hw.configurations import CONFIGURATIONS
from hw.isa import Instruction, Opcode, Region, Register
from hw.layout import TensorLayout, tiles
from hw.numbers import Format
from hw.spiking import (
    PARAMETER_WORDS,
    POPULATION_ROWS,
    ClimbingParameter,
    FireFlag,
    NeuronParameter,
    ScaleFlag,
    SynapseParameter,
    Variable,
)

CONFIG = CONFIGURATIONS["ecp5-8-spiking"]
DIFFERENCES = np.arange(-100, 101)


@pytest.fixture(
    scope="module", params=["golden", pytest.param("sim", marks=pytest.mark.simulator)]
)
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with open_device(request.param, CONFIG) as opened:
        yield opened


def brian_window(pair: SpikePair) -> NDArray[np.float64]:
    """The changes of 201 synapses between pairs that spike once each, simulated by Brian2."""
    import brian2
    from brian2 import Network, SpikeGeneratorGroup, Synapses, ms

    brian2.prefs.codegen.target = "numpy"
    brian2.defaultclock.dt = pair.dt * ms
    rule, start = pair.rule, pair.start * pair.formats.weight.lsb
    lower, upper = "1", "1"
    if pair.soft:
        lower, upper = f"(w - {rule.w_min})", f"({rule.w_max} - w)"
    count, at = len(DIFFERENCES), int(np.abs(DIFFERENCES).max()) + 1
    pairs = np.arange(count)
    pre = SpikeGeneratorGroup(count, pairs, (at - DIFFERENCES) * pair.dt * ms)
    post = SpikeGeneratorGroup(count, pairs, np.full(count, at) * pair.dt * ms)
    synapses = Synapses(
        pre,
        post,
        f"""w : 1
        dx/dt = -x / ({rule.tau_pre} * ms) : 1 (event-driven)
        dy/dt = -y / ({rule.tau_post} * ms) : 1 (event-driven)""",
        # Both traces first, as on the device: at a difference of 0 both parts apply.
        on_pre={
            "pre_trace": "x += 1",
            "pre_change": f"w -= {rule.learning_rate * rule.a_minus} * y * {lower}",
        },
        on_post={
            "post_trace": "y += 1",
            "post_change": f"w += {rule.learning_rate * rule.a_plus} * x * {upper}",
        },
    )
    synapses.connect(j="i")
    synapses.w = start
    synapses.pre_trace.order = synapses.post_trace.order = 0
    synapses.pre_change.order, synapses.post_change.order = 1, 2
    Network(pre, post, synapses).run((2 * at + 1) * pair.dt * ms)
    return (np.asarray(synapses.w[:]) - start) / pair.formats.weight.lsb


ASYMMETRIC = {"tau_pre": 16.8, "tau_post": 33.7, "a_plus": 0.2, "a_minus": 0.08}
PAIRS = {
    "literal": SpikePair(formats=Formats(weight=Format(0, 15))),
    "asymmetric": SpikePair(
        rule=PairSTDP(**ASYMMETRIC), formats=Formats(weight=Format(2, 13), trace=Format(2, 13))
    ),
    "soft": SpikePair(
        rule=PairSTDP(**ASYMMETRIC, w_min=-0.5, w_max=1, bounds="soft"),
        formats=Formats(trace=Format(1, 14)),
    ),
}


def measured_window(device: Device, pair: SpikePair) -> Window:
    test = WindowTest(pair, CONFIG, reach=DIFFERENCES[-1])
    return test.run(device, seed=1)


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_the_stdp_window_is_brians(device: Device, pair: SpikePair) -> None:
    window = measured_window(device, pair)
    np.testing.assert_array_equal(window.differences, DIFFERENCES)
    reference = brian_window(pair)
    deviations = np.abs(window.measured - reference)
    print(
        f"{device.name}: worst deviation {deviations.max():.3f} LSB, "
        f"bound {window.bounds.max():.3f} LSB"
    )
    assert (deviations <= window.bounds).all() and window.outside == 0
    np.testing.assert_allclose(reference, window.exact, rtol=0, atol=1e-9)


@pytest.mark.simulator
def test_the_stdp_window_of_the_gateware_is_goldens() -> None:
    """In every bit, stochastic rounding included."""
    with open_device("golden", CONFIG) as golden, open_device("sim", CONFIG) as simulated:
        for pair in PAIRS.values():
            windows = [measured_window(device, pair).measured for device in (golden, simulated)]
            np.testing.assert_array_equal(*windows)


BLOCK = tiles(PARAMETER_WORDS, CONFIG.lanes)
POPULATION = BLOCK


def parameters(values: dict[int, int]) -> NDArray[np.int16]:
    """The words of a block."""
    block = np.zeros(BLOCK * CONFIG.lanes, np.int16)
    for place, value in values.items():
        block[place] = value
    return block


def run(device: Device, *program: Instruction, sample: bytes = b"") -> None:
    """Carry instructions out, with a sample if there is one."""
    words = np.array([i.encode() for i in (*program, Instruction(opcode=Opcode.END))], np.uint16)
    device.write(Region.PROGRAM, 0, words.reshape(-1))
    device.run(0)
    if sample:
        device.stream(sample)
    device.wait()


def population(device: Device, neurons: int) -> NDArray[np.int16]:
    """What a population keeps, (variables, neurons)."""
    count = tiles(neurons, CONFIG.lanes)
    words = device.read(
        Region.STATE,
        POPULATION * CONFIG.lanes,
        count * POPULATION_ROWS * CONFIG.lanes,
    )
    rows = words.view(np.int16).reshape(count, POPULATION_ROWS, CONFIG.lanes)
    return rows.transpose(1, 0, 2).reshape(POPULATION_ROWS, -1)[:, :neurons]


@pytest.mark.parametrize("euclidean", [False, True], ids=["l1", "l2"])
def test_scaling_brings_every_row_to_its_norm(device: Device, euclidean: bool) -> None:
    """w target / norm, within the factor's last bit (w 2**-14), the root's (w / norm) and 1/2 LSB;
    a factor is below 2."""
    rng = np.random.default_rng(5)
    rows, columns, target = 40, 30, 9000
    layout = TensorLayout(
        base=0,
        rows=rows,
        columns=columns,
        tile_rows=CONFIG.lanes,
        lanes=CONFIG.lanes,
        stride=tiles(columns, CONFIG.lanes),
    )
    scales = np.geomspace(1, 30000, rows)[:, None]
    weights = (rng.uniform(0, 1, (rows, columns)) * scales).astype(np.int16)
    image = np.zeros((layout.tile_count * CONFIG.lanes, CONFIG.lanes), np.int16)
    layout.scatter(image, weights)
    device.write(Region.WEIGHT, 0, image.reshape(-1))
    block = {SynapseParameter.UPPER: 32767, SynapseParameter.NORM: target}
    device.write(Region.STATE, 0, parameters(block))
    run(
        device,
        Instruction(
            opcode=Opcode.SCALE,
            flags=ScaleFlag.EUCLIDEAN if euclidean else 0,
            rows=rows,
            columns=columns,
            left_inner=layout.stride,
        ),
    )
    words = device.read(Region.WEIGHT, 0, image.size).view(np.int16).reshape(image.shape)
    scaled = layout.gather(words).astype(float)
    real = weights.astype(float)
    norms = np.sqrt((real**2).sum(axis=1)) if euclidean else np.abs(real).sum(axis=1)
    factors = target / np.maximum(norms, 1)
    wanted = real * factors[:, None]
    error = np.abs(scaled - wanted)
    bounds = 0.5 + real * 2.0**-14 + wanted / np.maximum(norms[:, None] - 1, 1)
    reached = factors < 1.999
    assert reached.any() and not reached.all()
    assert (error[reached] <= bounds[reached]).all()
    limit = np.minimum(np.floor(real[~reached] * 32767 / 2**14 + 0.5), 32767)
    np.testing.assert_array_equal(scaled[~reached], limit)
    print(f"{device.name}: worst deviation {error[reached].max():.3f} LSB")


def test_metaplasticity_follows_the_running_activity(device: Device) -> None:
    """A neuron that fires every p steps: activity and coefficient against the exponential mean."""
    tau, threshold, increment, steps = 1000.0, 0.1, 327, 800
    decay = -round(32768 * (1 - math.exp(-1 / tau)))
    one = increment / (1 - math.exp(-1 / tau))
    chosen = {}
    for period in range(1, 21):
        block = {
            NeuronParameter.THRESHOLD: 100,
            NeuronParameter.REFRACTORY: period - 1,
            NeuronParameter.ACTIVITY_DECAY: decay,
            NeuronParameter.ACTIVITY_INCREMENT: increment // 10,
            NeuronParameter.ACTIVITY_THRESHOLD: round(threshold * one / 10),
            NeuronParameter.COEFFICIENT: 1000,
            NeuronParameter.COEFFICIENT_ACTIVE: 1200,
        }
        state = np.zeros((POPULATION_ROWS, CONFIG.lanes), np.int16)
        state[Variable.CURRENT] = 200
        device.write(Region.STATE, 0, np.concatenate([parameters(block), state.reshape(-1)]))
        fire = Instruction(
            opcode=Opcode.FIRE,
            flags=FireFlag.HOLD,
            rows=CONFIG.lanes,
            dest_base=POPULATION,
        )
        run(device, fire, Instruction(opcode=Opcode.REPEAT, rows=0, columns=steps))
        got = population(device, CONFIG.lanes)
        activity, float_decay = 0.0, 1 + decay / 32768
        for step in range(steps):
            activity = activity * float_decay + (step % period == 0) * (increment // 10)
        # A floor of at most 1 in each step, which decays likewise.
        bound = (1 - float_decay**steps) / (1 - float_decay)
        assert (got[Variable.COUNT] == -(-steps // period)).all()
        assert (np.abs(got[Variable.ACTIVITY] - activity) <= bound).all()
        active = got[Variable.ACTIVITY][0] > block[NeuronParameter.ACTIVITY_THRESHOLD]
        assert (got[Variable.COEFFICIENT] == (1200 if active else 1000)).all()
        chosen[period] = bool(active)
    assert chosen[1] and not chosen[20]
    assert sorted(chosen.values(), reverse=True) == list(chosen.values())


def test_climbing_fibres_follow_the_margin(device: Device) -> None:
    """+ for a class below the margin, - for others above minus it, over all outputs' values."""
    margin, neurons = 256, 61
    y = np.linspace(-900, 900, neurons).round().astype(np.int16)
    y[:2] = -32768, 32767
    for label in (0, 30, 60):
        block = {
            ClimbingParameter.MARGIN: margin,
            ClimbingParameter.POTENTIATION: 4,
            ClimbingParameter.DEPRESSION: -4,
            ClimbingParameter.TONIC: 1,
        }
        count = tiles(neurons, CONFIG.lanes)
        state = np.zeros((count, POPULATION_ROWS, CONFIG.lanes), np.int16)
        currents = np.zeros(count * CONFIG.lanes, np.int16)
        currents[:neurons] = y
        state[:, Variable.CURRENT] = currents.reshape(count, CONFIG.lanes)
        device.write(Region.STATE, 0, np.concatenate([parameters(block), state.reshape(-1)]))
        write_registers(device, {Register.FEATURES: 1, Register.TARGETS: 1})
        write_registers(device, {Register.SAMPLE_FORMAT: 0, Register.TARGET_STRIDE: 1})
        run(
            device,
            Instruction(opcode=Opcode.ACQUIRE, columns=1),
            Instruction(opcode=Opcode.CLIMB, rows=neurons, dest_base=POPULATION),
            Instruction(opcode=Opcode.RELEASE),
            sample=bytes([0, label]),
        )
        sign = np.where(np.arange(neurons) == label, 1.0, -1.0)
        wanted = np.where(sign * y < margin, 4 * sign, 1)
        np.testing.assert_array_equal(population(device, neurons)[Variable.COEFFICIENT], wanted)
        events = device.read(Region.EVENTS, 0, neurons + 1)
        np.testing.assert_array_equal(events[1 : 1 + events[0]], np.flatnonzero(wanted))
