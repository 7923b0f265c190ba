"""Block RAM of an ECP5, DP16KD, with output registers: Lattice FPGA-TN-02204 (memory usage guide).

A block shows its word 5.8 ns after the clock, its output register after 0.95 ns. Yosys does not
take that register for one of a design (YosysHQ/yosys issue 5814), so blocks are instantiated.
"""

from collections.abc import Sequence
from typing import NamedTuple

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Value
from amaranth.utils import exact_log2

ADDRESS_BITS = 14
"""A block has 16384 words of a bit, or as many fewer as they are wider."""

WIDTHS = {16: 18, 8: 9, 4: 4, 2: 2, 1: 1}
"""Bits of a word that a block can hold, and what its width is then called."""

_SLOT_BITS, _ROW_SLOTS = 20, 16
"""A word of 18 bits among the constants of a block, and how many a parameter INITVAL has."""


class Port(NamedTuple):
    """One of a block's two: writes `data` where `write`, and shows `word` two cycles later."""

    address: Value
    write: Value = Const(0, 1)
    data: Value = Const(0, 0)
    word: Value = Const(0, 0)


def ecp5_block(a: Port, b: Port, *, bits: int, words: Sequence[int] = ()) -> Instance:
    """A block with words of `bits`, and what it holds after configuration if they are of 16."""
    if words and bits != 16:
        raise ValueError(f"only words of 16 bits can be given, not of {bits}")
    ports: dict[str, object] = {}
    for letter, port in (("A", a), ("B", b)):
        ports |= _port(letter, port, bits)
    rows = -(-len(words) // _ROW_SLOTS)
    for row in range(rows):
        some = words[row * _ROW_SLOTS : (row + 1) * _ROW_SLOTS]
        value = sum(word << _SLOT_BITS * slot for slot, word in enumerate(some))
        ports[f"p_INITVAL_{row:02X}"] = Const(value, _SLOT_BITS * _ROW_SLOTS)
    return Instance("DP16KD", p_GSR="DISABLED", **ports)


def _port(letter: str, port: Port, bits: int) -> dict[str, object]:
    """Parameters and wires of a port.

    Where words have 18 bits the lowest bits of an address enable bytes of them.
    """
    bytes_enabled = Const(0b11 if bits == 16 else 0, exact_log2(bits))
    address = Cat(bytes_enabled, port.address, Const(0, ADDRESS_BITS))[:ADDRESS_BITS]
    return {
        f"p_DATA_WIDTH_{letter}": WIDTHS[bits],
        f"p_REGMODE_{letter}": "OUTREG",
        f"p_WRITEMODE_{letter}": "NORMAL",
        f"i_CLK{letter}": ClockSignal(),
        f"i_CE{letter}": Const(1, 1),
        f"i_OCE{letter}": Const(1, 1),
        f"i_WE{letter}": port.write,
        f"i_RST{letter}": Const(0, 1),
        **_bits(f"i_CS{letter}", Const(0, 3)),
        **_bits(f"i_AD{letter}", address),
        **_bits(f"i_DI{letter}", port.data),
        **_bits(f"o_DO{letter}", port.word),
    }


def _bits(prefix: str, value: Value) -> dict[str, object]:
    """Ports of single bits, as Lattice names them: ADA0, ADA1, ..."""
    return {f"{prefix}{i}": value[i] for i in range(len(value))}
