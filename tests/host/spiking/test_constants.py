"""Physical units to words: against hand-computed values, and refused where no word will do."""

import math

import pytest

from host.memory_map import CompileError
from host.spiking import constants
from host.spiking.encoder import gain
from host.spiking.network import Encoding
from hw.numbers import Format


def test_decays():
    # 32768 (1 - exp(-1/20)) = 1598.1 and 32768 (1 - exp(-1/1000)) = 32.75
    assert constants.decay("tau", 20.0, 1.0) == -1598
    assert constants.decay("tau", 1000.0, 1.0) == -33
    assert constants.decay("tau", None, 1.0) == 0
    assert constants.decay("tau", 1e-9, 1.0) == -32768
    # 32768 / 65000 = 0.504 still rounds to 1, 32768 / 66000 = 0.4965 to 0.
    assert constants.decay("tau", 65000.0, 1.0) == -1
    with pytest.raises(CompileError, match="tau of 66000 ms is too long for steps of 1 ms.*65536"):
        constants.decay("tau", 66000.0, 1.0)


def test_a_decay_is_that_of_the_time_constant():
    for tau in (5.0, 20.0, 100.0):
        word = constants.decay("tau", tau, 1.0)
        kept = (1 + word / 32768) ** round(tau)
        assert abs(kept - math.exp(-1)) < round(tau) * 2**-16


def test_fixed():
    assert constants.fixed("x", 0.75, 8) == 192
    assert constants.fixed("x", -0.75, 8) == -192
    assert constants.fixed("x", 2.5 / 256, 8) == 3  # halves upwards
    assert constants.fixed("x", -2.5 / 256, 8) == -2
    assert constants.fixed("x", 0, 15) == 0
    assert constants.fixed("x", 127.998, 8) == 32767
    assert constants.fixed("x", -128, 8) == -32768
    with pytest.raises(CompileError, match="x must lie from -128 to 127.996.*not 128: make it sma"):
        constants.fixed("x", 128, 8)
    with pytest.raises(CompileError, match="x of 0.001 rounds to 0 .* whose least is 0.0039"):
        constants.fixed("x", 0.001, 8)


def test_limits_of_weights():
    assert constants.weight_limit("w_max", 1.0, Format(1, 14)) == 16384
    assert constants.weight_limit("w_max", 1.0, Format(0, 15)) == 32767
    assert constants.weight_limit("w_min", -1.0, Format(0, 15)) == -32768
    with pytest.raises(CompileError, match="w_max must lie from -1 to"):
        constants.weight_limit("w_max", 1.5, Format(0, 15))


def test_steps():
    assert constants.steps("refractory", 5.0, 0.5) == 10
    assert constants.steps("refractory", 0.0, 0.5) == 0
    with pytest.raises(CompileError, match="refractory in steps of 1 ms of 0.2 rounds to 0"):
        constants.steps("refractory", 0.2, 1.0)


def test_norm():
    assert constants.norm(3.0, 12) == (12288, 0)
    # 12 * 2**15 = 393216 = 24576 * 2**4
    assert constants.norm(12.0, 15) == (24576, 4)


def test_coefficients():
    # 0.001 weights of Q1.14 a trace of 1.0 in Q3.12: 0.001 2**14 / 2**12 2**16 = 262.1
    assert constants.coefficient("k", 0.001, weight=14, trace=12) == 262
    # A step of one in Q9.6 for an active cell, 2**14.
    assert constants.coefficient("k", 2**-6, weight=6, trace=14) == 4
    # Soft: 0.001 of the distance a trace of 1.0: 0.001 2**31 / 2**12 = 524.3
    assert constants.coefficient("k", 0.001, weight=14, trace=12, soft=True) == 524
    with pytest.raises(CompileError, match="k of 1e-06 rounds to 0"):
        constants.coefficient("k", 1e-6, weight=14, trace=12)


def test_gains():
    # 100 Hz and 1 ms are 0.1 spikes a step, 3276.8 of 32768, for 512 of Q6.9: 6.4 = 26214.4 / 2**12
    assert gain(Encoding(kind="rate", max_rate=100.0, dt=1.0), 9) == (26214, 12)
    assert gain(Encoding(kind="poisson", max_rate=1000.0, dt=1.0), 9) == (16384, 8)
    assert gain(Encoding(kind="latency", steps=8), 9) == (7, 9)
