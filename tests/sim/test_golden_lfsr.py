"""The golden LFSRs leap and still take every single step."""

import numpy as np
import pytest

from hw.numbers import lfsr_seed, lfsr_step
from sim.golden.lfsr import LfsrBank, lfsr_sequence

SEEDS = np.array([lfsr_seed(lane) for lane in range(4)] + [1, 0x80000000, 0xFFFFFFFF], np.uint32)


def stepped(states: np.ndarray, count: int) -> list[list[int]]:
    """The states now and after each of `count` single steps."""
    rows = [states.tolist()]
    for _ in range(count):
        rows.append([lfsr_step(state) for state in rows[-1]])
    return rows


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 63, 64, 65, 1000])
def test_sequence_is_single_steps(count):
    assert lfsr_sequence(SEEDS, count).tolist() == stepped(SEEDS, count)


def test_bank_goes_on_where_it_stopped():
    bank = LfsrBank(SEEDS)
    counts = [1, 300, 5, LfsrBank.AHEAD - 306, 1, LfsrBank.AHEAD + 3, 2]
    expected = stepped(SEEDS, sum(counts))
    place = 0
    for count in counts:
        assert bank.advance(count).tolist() == expected[place : place + count]
        place += count
        assert bank.state.tolist() == expected[place]


def test_bank_takes_another_state():
    bank = LfsrBank(SEEDS)
    bank.advance(3)
    bank.state = SEEDS[::-1]
    assert bank.advance(2).tolist() == stepped(SEEDS[::-1], 1)
    with pytest.raises(ValueError, match="read-only"):
        bank.state[0] = 1
