"""The checksum of frames: zlib's CRC-32, a byte a cycle.

    data --> + --> / x mod polynomial, 8 times --> register --> crc, match
             ^                                        |
             +----------------------------------------+

Synthesis makes parities of the 8 steps. In a simulation they are looked up in a table: with the
parities that `amaranth.lib.crc` writes out, an 8 x 8 device spent a tenth of its time here.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.activity import is_simulated

POLYNOMIAL = 0xEDB88320
"""CRC-32/ISO-HDLC of the reveng catalogue, the bit of x^31 lowest; as are all numbers here."""
RESIDUE = 0xDEBB20E3
"""The register after any message with its checksum behind it."""
CRC_BITS = 32


class Crc32(wiring.Component):
    """crc = zlib.crc32 of the bytes since `start`.

    Members
    -------
    start: In, begin with the next byte
    valid, data: In, take a byte; not with `start`
    crc: Out, of the bytes that were taken before this cycle
    match: Out, these bytes end with their checksum, lowest byte first
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "valid": In(1),
                "data": In(8),
                "crc": Out(CRC_BITS),
                "match": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        register = Signal(CRC_BITS, init=(1 << CRC_BITS) - 1)
        m.d.comb += [self.crc.eq(~register), self.match.eq(register == RESIDUE)]
        after = Signal(CRC_BITS)
        if is_simulated(platform):
            m.d.comb += after.eq(self._looked_up(m, register))
        else:
            m.d.comb += after.eq(self._stepped(register))
        with m.If(self.start):
            m.d.sync += register.eq(register.init)
        with m.Elif(self.valid):
            m.d.sync += register.eq(after)
        return m

    def _stepped(self, register: Value) -> Value:
        """The register after 8 steps."""
        state = register ^ self.data
        for _ in self.data:
            state = Cat(state[1:CRC_BITS], 0) ^ Mux(state[0], POLYNOMIAL, 0)
        return state

    def _looked_up(self, m: Module, register: Value) -> Value:
        """The same: its lowest byte decides what is added to the others, which move down."""
        table: Sequence[int] = range(1 << len(self.data))
        for _ in self.data:
            table = [(state >> 1) ^ (POLYNOMIAL if state & 1 else 0) for state in table]
        m.submodules.table = memory = Memory(shape=CRC_BITS, depth=len(table), init=table)
        port = memory.read_port(domain="comb")
        m.d.comb += port.addr.eq(register[:8] ^ self.data)
        return port.data ^ register[8:]
