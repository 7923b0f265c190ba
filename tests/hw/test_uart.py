"""The serial line: its timing to the cycle, the clocks that it bears, and what it takes."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from boards.resources import BESIDE, count
from boards.yosys import netlist
from hw.uart import UartReceiver, UartTransmitter
from sim.bench.runner import run_bench

SEED = 20266


class Ends(wiring.Component):
    """A receiver and a transmitter, one beside the other."""

    def __init__(self, *, divisor: int):
        self.divisor = divisor
        octets = stream.Signature(8)
        super().__init__({"rx": In(1), "o": Out(octets), "i": In(octets), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(divisor=self.divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=self.divisor)
        connect(m, receiver.o, flipped(self.o))
        connect(m, flipped(self.i), transmitter.i)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        return m


@pytest.mark.simulator
@pytest.mark.toolchain
@pytest.mark.parametrize("divisor", [4, 5, 25])
def test_line(divisor: int) -> None:
    """The smallest divisor, an odd one, and one that boards have."""
    print(f"seed {SEED}")
    run_bench(
        Ends(divisor=divisor),
        bench="sim.bench.bench_uart",
        parameters={"divisor": divisor, "seed": SEED},
        seed=SEED,
    )


@pytest.mark.parametrize("unit", [UartReceiver, UartTransmitter])
def test_refuses_a_small_divisor(unit: type[UartReceiver] | type[UartTransmitter]) -> None:
    with pytest.raises(ValueError, match="divisor of a UART must be at least 4, not 3"):
        unit(divisor=3)


@pytest.mark.toolchain
def test_fits_beside_the_device() -> None:
    """With the largest divisor that a board has."""
    assert count(netlist(Ends(divisor=208), "ice40"), "ice40").cells < BESIDE - 30
