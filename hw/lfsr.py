"""Randomness of the update unit: one 32-bit Galois LFSR a lane, which the host may read and write.

    step --> state <- state / x mod (x^32 + x^22 + x^2 + x + 1) --> states, L x 32 bits
    leap --> LFSR_LEAP times that
                ^                                            |
    write_data -+ half chosen by address      halves, 2 L:1 -+--> read_data, a cycle after address

A leap leaves none of the bits that a random byte was made of, where a step would only shift them:
the bytes of successive leaps have nothing to do with each other.

The host addresses halves: word lane * 2 is the low half, lane * 2 + 1 the high one. From reset,
lane i starts at `hw.numbers.lfsr_seed(i)`.
"""

from functools import reduce
from operator import xor

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.activity import while_active
from hw.numbers import LFSR_LEAP, LFSR_TAPS, WORD_BITS, lfsr_seed, lfsr_step

STATE_BITS = 2 * WORD_BITS


def following(state: Value) -> Value:
    """The state after `state`, as `hw.numbers.lfsr_step` computes it."""
    return Cat(state[1:], 0) ^ Mux(state[0], LFSR_TAPS, 0)


def preceding(state: Value) -> Value:
    """The state before `state`: a step is a bijection that leaves its old lowest bit on top."""
    return Cat(state[-1], (state ^ Mux(state[-1], LFSR_TAPS, 0))[:-1])


def _leapt(basis: int) -> int:
    """The state LFSR_LEAP steps after the state `basis`."""
    for _ in range(LFSR_LEAP):
        basis = lfsr_step(basis)
    return basis


def leapt(state: Value) -> Value:
    """The state LFSR_LEAP steps after `state`: a step is linear, so every bit is a parity."""
    images = [_leapt(1 << bit) for bit in range(STATE_BITS)]
    sources = [
        [state[bit] for bit, image in enumerate(images) if image >> place & 1]
        for place in range(STATE_BITS)
    ]
    return Cat(reduce(xor, bits) for bits in sources)


class LfsrBank(wiring.Component):
    """`lanes` LFSRs that step together.

    Parameters
    ----------
    lanes: L, a power of two
    leaps: whether there is `leap`
    far: what the host reads comes from all over a large part, in FAR_READ_LATENCY cycles

    Members
    -------
    step: every LFSR takes a step
    leap: every LFSR takes LFSR_LEAP steps at once; not together with `step`
    states: the L states, as they are
    address: of a half
    write, write_data: set the half at `address`; not together with these
    read_data: the half at the `address` of `READ_LATENCY` or FAR_READ_LATENCY cycles ago
    """

    READ_LATENCY = 1
    FAR_READ_LATENCY = 2
    HOST_MEMBERS = ("address", "write", "write_data", "read_data")

    def __init__(self, *, lanes: int, leaps: bool = False, far: bool = False) -> None:
        if lanes < 2 or lanes & (lanes - 1):
            raise ValueError(f"lanes must be a power of two from 2, not {lanes}")
        self.lanes = lanes
        self.leaps = leaps
        self.far = far
        super().__init__(
            {
                "step": In(1),
                **({"leap": In(1)} if leaps else {}),
                "states": Out(data.ArrayLayout(STATE_BITS, lanes)),
                "address": In(range(2 * lanes)),
                "write": In(1),
                "write_data": In(WORD_BITS),
                "read_data": Out(WORD_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        outer, m = Module(), Module()
        address = Signal.like(self.address, name="address_before")
        outer.d.sync += address.eq(self.address)
        moves = self.step | self.leap if self.leaps else self.step
        active = moves | self.write | (self.address != address)
        outer.submodules.bank = while_active(
            m, active, platform, name="lfsr", after=self.FAR_READ_LATENCY
        )
        halves: list[Value] = []
        for lane in range(self.lanes):
            state = Signal(STATE_BITS, name=f"state_{lane}", init=lfsr_seed(lane))
            after = following(state)
            if self.leaps:
                after = Mux(self.leap, leapt(state), after)
            m.d.comb += self.states[lane].eq(state)
            for half in range(2):
                place = slice(half * WORD_BITS, (half + 1) * WORD_BITS)
                written = self.write & (self.address == 2 * lane + half)
                # `write` itself chooses the data, so that a bit needs four inputs, not seven.
                with m.If(written | moves):
                    m.d.sync += state[place].eq(Mux(self.write, self.write_data, after[place]))
                halves.append(state[place])
        chosen: Value = self.address
        if self.far:
            # One half of each lane first, where that lane is.
            near: list[Value] = []
            for lane in range(self.lanes):
                near.append(Signal(WORD_BITS, name=f"near_{lane}", reset_less=True))
                m.d.sync += near[lane].eq(Mux(chosen[0], halves[2 * lane + 1], halves[2 * lane]))
            number = Signal(range(self.lanes))
            m.d.sync += number.eq(chosen[1:])
            halves, chosen = near, number
        m.d.sync += self.read_data.eq(Array(halves)[chosen])
        return outer
