"""The plasticity rules against references in floating point, on golden and on the gateware.

STDP window: Brian2 (Stimberg, Brette & Goodman 2019) with the same constants. The bounds are those
that follow from the formats; the worst deviation is printed.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from host.device import Device, open_device
from host.spiking.curves import PairRule, stdp_window
from hw.config import CONFIGURATIONS

CONFIG = CONFIGURATIONS["ecp5-8-spiking"]
DIFFERENCES = np.arange(-100, 101)


@pytest.fixture(
    scope="module", params=["golden", pytest.param("sim", marks=pytest.mark.simulator)]
)
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with open_device(request.param, CONFIG) as opened:
        yield opened


def brian_window(rule: PairRule) -> NDArray[np.float64]:
    """The changes of 201 synapses between pairs that spike once each, simulated by Brian2."""
    import brian2
    from brian2 import Network, SpikeGeneratorGroup, Synapses, ms

    brian2.prefs.codegen.target = "numpy"
    brian2.defaultclock.dt = rule.dt * ms
    count, at = len(DIFFERENCES), int(np.abs(DIFFERENCES).max()) + 1
    pairs = np.arange(count)
    pre = SpikeGeneratorGroup(count, pairs, (at - DIFFERENCES) * rule.dt * ms)
    post = SpikeGeneratorGroup(count, pairs, np.full(count, at) * rule.dt * ms)
    synapses = Synapses(
        pre,
        post,
        f"""w : 1
        dx/dt = -x / ({rule.tau_pre} * ms) : 1 (event-driven)
        dy/dt = -y / ({rule.tau_post} * ms) : 1 (event-driven)""",
        # Both traces first, as on the device: at a difference of 0 both parts apply.
        on_pre={
            "pre_trace": "x += 1",
            "pre_change": f"w -= {rule.learning_rate * rule.a_minus} * y",
        },
        on_post={
            "post_trace": "y += 1",
            "post_change": f"w += {rule.learning_rate * rule.a_plus} * x",
        },
    )
    synapses.connect(j="i")
    synapses.w = 0.5
    synapses.pre_trace.order = synapses.post_trace.order = 0
    synapses.pre_change.order = synapses.post_change.order = 1
    Network(pre, post, synapses).run((2 * at + 1) * rule.dt * ms)
    return np.asarray(synapses.w[:]) - 0.5


@pytest.mark.parametrize(
    "rule",
    [PairRule(), PairRule(tau_pre=16.8, tau_post=33.7, a_plus=0.2, a_minus=0.08, fraction=13)],
    ids=["literal", "asymmetric"],
)
def test_the_stdp_window_is_brians(device: Device, rule: PairRule) -> None:
    measured = stdp_window(device, rule, DIFFERENCES)
    reference = brian_window(rule) * 2.0**rule.fraction
    bounds = np.array([rule.bound(difference) for difference in DIFFERENCES])
    worst = np.abs(measured - reference).max()
    print(f"{device.name}: worst deviation {worst:.3f} LSB, bound {bounds.max():.3f} LSB")
    assert (np.abs(measured - reference) <= bounds).all()
    formula = np.array([rule.change(difference) for difference in DIFFERENCES])
    np.testing.assert_allclose(reference, formula * 2.0**rule.fraction, atol=1e-9)
