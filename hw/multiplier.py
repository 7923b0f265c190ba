"""A signed multiplier with three registers: one component for every family.

    a --[input]--+
                 x --[pipeline]--[output]-- product
    b --[input]--+    in cells: a product for every few bits of b, and their sum

Synthesis absorbs no registers into the multiplier blocks of these families, and a block without
them is what limits the clock, so the vendor's primitive is instantiated. The behavioural twin
has the same latency, serves simulation, and is what synthesis gets where no block is wanted.
"""

from typing import get_args

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import Family

BLOCK_WIDTHS = {"behavioural": 18, "ice40": 16, "ecp5": 18, "gowin": 18}
"""Bits of the operands of a family's multiplier block."""

SLICE = 4
"""Bits of b that cells multiply by in one cycle: with more they would be slower than all else."""


class Multiplier(wiring.Component):
    """product = a * b, exact, one a cycle, `LATENCY` cycles later. No reset, no stall.

    Parameters
    ----------
    a_width, b_width: bits of the signed operands, 2 to 18
    family: whose block to instantiate; operands wider than the block get the behavioural twin
    fabric: use the behavioural twin in any case. Yosys makes it of logic cells, or of an
        unregistered block where it is allowed to infer one (`synth_ice40 -dsp`, `synth_ecp5`)

    Members
    -------
    a, b: In(signed), the operands
    product: Out(signed), of a_width + b_width bits

    Attributes
    ----------
    primitive: whether this multiplier is a vendor's block
    """

    LATENCY = 3

    def __init__(
        self, *, a_width: int, b_width: int, family: Family = "behavioural", fabric: bool = False
    ):
        for name, width in (("a_width", a_width), ("b_width", b_width)):
            if not 2 <= width <= 18:
                raise ValueError(f"{name} of a multiplier must be from 2 to 18, not {width}")
        if family not in get_args(Family):
            raise ValueError(f"family must be one of {', '.join(get_args(Family))}, not {family!r}")
        self.a_width = a_width
        self.b_width = b_width
        self.family = family
        self.primitive = (
            not fabric and family != "behavioural" and max(a_width, b_width) <= BLOCK_WIDTHS[family]
        )
        super().__init__(
            {
                "a": In(signed(a_width)),
                "b": In(signed(b_width)),
                "product": Out(signed(a_width + b_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if not self.primitive:
            self._twin(m)
            return m
        width = BLOCK_WIDTHS[self.family]
        a, b = Signal(signed(width)), Signal(signed(width))
        product = Signal(signed(2 * width))
        m.d.comb += [a.eq(self.a), b.eq(self.b), self.product.eq(product)]
        block = {"ice40": _sb_mac16, "ecp5": _mult18x18d, "gowin": _mult18x18}[self.family]
        m.submodules.block = block(a, b, product)
        return m

    def _twin(self, m: Module) -> None:
        a = Signal(signed(self.a_width), reset_less=True)
        b = Signal(signed(self.b_width), reset_less=True)
        output = Signal(self.product.shape(), reset_less=True)
        m.d.sync += [a.eq(self.a), b.eq(self.b)]
        # A simulator is faster without slices.
        step = self.b_width if self.family == "behavioural" else SLICE
        *lower, last = range(0, max(1, self.b_width - step + 1), step)
        factors = [(low, b[low : low + step]) for low in lower] + [(last, b[last:].as_signed())]
        total: Value = Const(0, 1)
        for low, factor in factors:
            part = Signal(
                signed(self.a_width + len(factor)), name=f"product_{low}", reset_less=True
            )
            m.d.sync += part.eq(a * factor)
            total = total + (part << low)
        m.d.sync += output.eq(total)
        m.d.comb += self.product.eq(output)


def _bits(prefix: str, value: Signal) -> dict[str, object]:
    """Ports of single bits, as Lattice names them: A0, A1, ..."""
    return {f"{prefix}{i}": value[i] for i in range(len(value))}


def _mult18x18d(a: Signal, b: Signal, product: Signal) -> Instance:
    """ECP5: Lattice FPGA-TN-02205 (sysDSP usage guide).

    Pins that do not matter stay unconnected: tied to 0 they make nextpnr fail to route.
    """
    registers = {
        f"p_REG_{register}_{part}": value
        for register in ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")
        for part, value in (("CLK", "CLK0"), ("CE", "CE0"), ("RST", "RST0"))
    }
    return Instance(
        "MULT18X18D",
        **registers,
        p_GSR="DISABLED",
        p_RESETMODE="SYNC",
        i_CLK0=ClockSignal(),
        i_CE0=Const(1, 1),
        i_RST0=Const(0, 1),
        i_SIGNEDA=Const(1, 1),
        i_SIGNEDB=Const(1, 1),
        **_bits("i_A", a),
        **_bits("i_B", b),
        **_bits("o_P", product),
    )


def _sb_mac16(a: Signal, b: Signal, product: Signal) -> Instance:
    """iCE40 UltraPlus: Lattice FPGA-TN-02007 (DSP function usage guide).

    A and B are registered, then the four partial products, then their sum, which is the output.
    """
    sum_of_products = Const(3, 2)
    return Instance(
        "SB_MAC16",
        p_A_REG=Const(1, 1),
        p_B_REG=Const(1, 1),
        p_TOP_8x8_MULT_REG=Const(1, 1),
        p_BOT_8x8_MULT_REG=Const(1, 1),
        p_PIPELINE_16x16_MULT_REG1=Const(1, 1),
        p_PIPELINE_16x16_MULT_REG2=Const(1, 1),
        p_TOPOUTPUT_SELECT=sum_of_products,
        p_BOTOUTPUT_SELECT=sum_of_products,
        p_A_SIGNED=Const(1, 1),
        p_B_SIGNED=Const(1, 1),
        i_CLK=ClockSignal(),
        i_CE=Const(1, 1),
        i_A=a,
        i_B=b,
        o_O=product,
        **{
            f"i_{pin}": Const(0, 1)
            for pin in ("AHOLD", "BHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT")
        },
    )


def _mult18x18(a: Signal, b: Signal, product: Signal) -> Instance:
    """Gowin GW1N and GW2A: Gowin UG287 (DSP user guide)."""
    return Instance(
        "MULT18X18",
        p_AREG=Const(1, 1),
        p_BREG=Const(1, 1),
        p_PIPE_REG=Const(1, 1),
        p_OUT_REG=Const(1, 1),
        p_MULT_RESET_MODE="SYNC",
        i_CLK=ClockSignal(),
        i_CE=Const(1, 1),
        i_RESET=Const(0, 1),
        i_ASEL=Const(0, 1),
        i_BSEL=Const(0, 1),
        i_ASIGN=Const(1, 1),
        i_BSIGN=Const(1, 1),
        i_A=a,
        i_B=b,
        o_DOUT=Cat(product),
    )
