"""Writes a design as the Verilog that Verilator simulates fastest."""

import re

from amaranth.back import verilog
from amaranth.hdl import ClockDomain, Elaboratable, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.activity import CONDITION


def convert(design: Elaboratable) -> str:
    """Return module `top`: the design between its two streams of bytes, with a clock, no reset."""
    top = _Clocked(design)
    text = verilog.convert(top, name="top", platform=_Simulator(), strip_internal_attrs=True)
    return _compact(_EDGE.sub(r"@(edge top.edges iff \1 )", text)) + _CONDITION


class _Simulator:
    """The platform: units that have nothing to do get no clock, see `hw.activity`."""

    simulated = True


class _Clocked(wiring.Component):
    """A design whose clock conditions are those of `hw.activity`, without reset.

    Without a reset the next state of a register is no function of an input. What depends on an
    input Verilator evaluates apart from what depends on registers, and much of that twice: inputs
    go into registers first.
    """

    def __init__(self, design: Elaboratable):
        self.design = design
        octets = stream.Signature(8)
        super().__init__({"edges": In(1), "rx": In(octets), "tx": Out(octets)})

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = sync = ClockDomain("sync", reset_less=True)
        m.submodules.device = device = self.design
        m.d.comb += [
            sync.clk.eq(1),
            self.rx.ready.eq(device.rx.ready),
            self.tx.payload.eq(device.tx.payload),
            self.tx.valid.eq(device.tx.valid),
        ]
        m.d.sync += [
            device.rx.payload.eq(self.rx.payload),
            device.rx.valid.eq(self.rx.valid),
            device.tx.ready.eq(self.tx.ready),
        ]
        return m


_CONDITION = f"module {CONDITION}(input i, output o); assign o = i; endmodule\n"
# A cycle is one change of `edges`, of either direction, and so one evaluation.
_EDGE = re.compile(r"@\(posedge (\S+) ?\)")
# Runs of `m[0] = 0;`, `m[1] = 0;`, ...: a line per word of memory costs the C++ compiler minutes.
_WORDS = re.compile(
    r"^( +)(\S+ ?)\[(\d+)\] = (\d+'[bdh][0-9a-f]+);\n"
    r"(?:\1\2\[\d+\] = \4;\n)*"
    r"\1\2\[(\d+)\] = \4;\n",
    re.MULTILINE,
)
# `{ x[7], x[7], x }`, as Yosys extends a sign, is an operation a bit; `{ {2{ x[7] }}, x }` is one.
_REPEATS = re.compile(r"(?<=[{,] )([^\s,{}][^,{}]*?)((?:, \1)+)(?=,| })")


def _compact(verilog: str) -> str:
    """Write the lists that Yosys unrolled as what they repeat."""

    def loop(words: re.Match[str]) -> str:
        indent, memory, first, value, last = words.groups()
        if words[0].count("\n") != int(last) - int(first) + 1:
            return words[0]
        return f"{indent}for (int w = {first}; w <= {last}; ++w) {memory}[w] = {value};\n"

    def repeat(items: re.Match[str]) -> str:
        return f"{{{items[2].count(', ') + 1}{{ {items[1]} }}}}"

    return _REPEATS.sub(repeat, _WORDS.sub(loop, verilog))
