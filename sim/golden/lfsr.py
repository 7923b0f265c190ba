"""The LFSRs of all lanes, many steps at a time: a step is linear over GF(2), so tables can leap."""

import numpy as np
from numpy.typing import NDArray

from hw.numbers import LFSR_TAPS, lfsr_step

States = NDArray[np.uint32]

LEAP_BITS = 3
"""A leap is 2**3 steps; the states between two leaps come from the first one's low bits."""
LEAP = 1 << LEAP_BITS


def _leap_table(power: int) -> States:
    """2**power steps of every byte at every place of a state, shape (4, 256)."""
    byte = np.arange(256, dtype=np.uint32)
    table = np.stack([byte << np.uint32(8 * place) for place in range(4)])
    if power == 0:
        return (table >> np.uint32(1)) ^ (table & np.uint32(1)) * np.uint32(LFSR_TAPS)
    half = _LEAP_TABLES[power - 1]
    return _apply(half, _apply(half, table))


def _apply(table: States, state: States) -> States:
    images = [table[place][(state >> np.uint32(8 * place)) & np.uint32(255)] for place in range(4)]
    return images[0] ^ images[1] ^ images[2] ^ images[3]


_LEAP_TABLES: list[States] = []
for _power in range(24):
    _LEAP_TABLES.append(_leap_table(_power))


def _steps_of(low: int, steps: int) -> int:
    """`steps` steps of the `steps` low bits of `low`."""
    state = low & ((1 << steps) - 1)
    for _ in range(steps):
        state = lfsr_step(state)
    return state


_BETWEEN = np.array(
    [[_steps_of(low, steps) for low in range(1 << LEAP)] for steps in range(LEAP)], np.uint32
)


def lfsr_sequence(state: States, count: int) -> States:
    """The states of LFSRs now and after each of `count` steps, shape (count + 1, lanes).

    s leaps ahead by doubling the known stretch with the table of 2**k steps. Between leaps, j < 8
    steps shift a state right by j and add what its j low bits become: (s >> j) ^ table[j, s & 255].
    """
    leaps = state[None, :]
    power = LEAP_BITS
    while len(leaps) * LEAP <= count:
        leaps = np.concatenate([leaps, _apply(_LEAP_TABLES[power], leaps)])
        power += 1
    leaps = leaps[: count // LEAP + 1]
    states = np.empty((len(leaps), LEAP, len(state)), np.uint32)
    low = (leaps & np.uint32((1 << LEAP) - 1)).astype(np.intp)
    for steps in range(LEAP):
        states[:, steps] = (leaps >> np.uint32(steps)) ^ _BETWEEN[steps].take(low)
    return states.reshape(-1, len(state))[: count + 1]


class LfsrBank:
    """One LFSR a lane, advanced together, worked out a few thousand steps ahead.

    Parameters
    ----------
    state: the state of each lane
    """

    AHEAD = 4096

    def __init__(self, state: States):
        self.state = state

    @property
    def state(self) -> States:
        """The present state of each lane (read-only; assign a whole array to change it)."""
        return self._states[self._now]

    @state.setter
    def state(self, state: States) -> None:
        self._states = np.array(state, np.uint32)[None, :]
        self._states.flags.writeable = False
        self._now = 0

    def advance(self, count: int) -> States:
        """Take `count` steps; the states before each of them, shape (count, lanes)."""
        if self._now + count >= len(self._states):
            self._states = lfsr_sequence(self.state, max(count, self.AHEAD))
            self._states.flags.writeable = False
            self._now = 0
        before = self._states[self._now : self._now + count]
        self._now += count
        return before
