"""Who has which port of a core's memories: units that take turns, and the host."""

from collections.abc import Mapping

from amaranth.hdl import Module, Mux, Signal, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.array_unit import delayed
from hw.fan_out import own_register
from hw.isa import Region
from hw.lfsr import LfsrBank
from hw.spiking_unit import SpikingUnit

HOST_WAY = 2
"""Cycles that an access of the host takes to a memory, which is where its banks are, and back."""

HOST_REGISTERS = 2 * HOST_WAY
"""Cycles of an access that are not the memory's."""

PORT_REGISTERS = 1
"""Cycles that `registered` takes."""


def share(
    m: Module,
    port: wiring.PureInterface,
    user: wiring.PureInterface,
    other: wiring.PureInterface,
    active: Value,
) -> None:
    """Give a memory's port to `user` while `active`, and else to `other`; both see its words."""
    for name, member in port.signature.members.items():
        if member.flow == In:
            chosen = Mux(active, Value.cast(getattr(user, name)), Value.cast(getattr(other, name)))
            m.d.comb += Value.cast(getattr(port, name)).eq(chosen)
        else:
            words = getattr(port, name)
            m.d.comb += [getattr(user, name).eq(words), getattr(other, name).eq(words)]


def registered(m: Module, port: wiring.PureInterface, name: str) -> wiring.PureInterface:
    """What a unit's `port` asks of a memory PORT_REGISTERS cycles later; what it gets is not late.

    The registers are the port's own, for the way from the unit to all banks.
    """
    later = port.signature.create(path=(name,))
    for member, description in port.signature.members.items():
        now, then = Value.cast(getattr(port, member)), Value.cast(getattr(later, member))
        if description.flow == Out:
            m.d.comb += then.eq(own_register(m, now, f"{name}_{member}"))
        else:
            m.d.comb += now.eq(then)
    return later


def wire_spiking(
    m: Module,
    core: wiring.Component,
    spiking: SpikingUnit,
    *,
    others: ValueLike = 0,
    others_busy: ValueLike = 0,
) -> None:
    """The spiking half's command, the time step and the buffer in front.

    Parameters
    ----------
    others: whether the command is another unit's
    others_busy: whether that one is at work
    """
    config = spiking.config
    m.d.comb += [
        spiking.instruction.eq(core.instruction),
        spiking.start.eq(core.spiking_start & ~Value.cast(others)),
        spiking.step.eq(core.time_step),
        spiking.input_base.eq(Mux(core.front, config.input_tiles, 0)),
        spiking.target_base.eq(Mux(core.front, config.target_tiles, 0)),
        core.spiking_busy.eq(spiking.busy | others_busy),
    ]


def wire_host(
    m: Module,
    core: wiring.Component,
    memories: Mapping[Region, wiring.PureInterface],
    lfsrs: wiring.PureInterface,
    read_latency: int,
) -> None:
    """The host's port of every memory, and of the LFSRs, whose words wait for the memories'.

    Parameters
    ----------
    core: a component of hw.core.CoreSignature
    memories: signatures hw.tile_memory.TileHost, all of the latency read_latency - HOST_REGISTERS
    lfsrs: with members lfsr_address, lfsr_write, lfsr_write_data, lfsr_read_data
    """
    # From registers of each memory's own, as they go to all of its banks.
    address, write_data = Signal.like(core.address), Signal.like(core.write_data)
    m.d.sync += [address.eq(core.address), write_data.eq(core.write_data)]

    def reach(each: Region, *ports: ValueLike) -> None:
        """Drive a memory's address, write enable and data."""
        enable = Signal(name=f"write_{each.name.lower()}")
        m.d.sync += enable.eq(core.write_enable & (core.region == each))
        for port, value in zip(ports, (address, enable, write_data), strict=True):
            port = Value.cast(port)
            own = own_register(m, Value.cast(value)[: len(port)], f"{each.name.lower()}_host")
            m.d.comb += port.eq(own)

    reach(Region.LFSR, lfsrs.lfsr_address, lfsrs.lfsr_write, lfsrs.lfsr_write_data)
    waiting = read_latency - 1 - HOST_WAY - LfsrBank.FAR_READ_LATENCY
    word: ValueLike = delayed(m, lfsrs.lfsr_read_data, waiting)
    region = delayed(m, core.region, read_latency - 1)
    for each, host in memories.items():
        reach(each, host.address, host.write_enable, host.write_data)
        found = own_register(m, host.read_data, f"{each.name.lower()}_host_read_data")
        word = Mux(region == each, found, word)
    m.d.sync += core.read_data.eq(word)
