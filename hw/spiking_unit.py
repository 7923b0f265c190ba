"""The spiking half: its memories, and the unit of each of its commands, which run one at a time.

    instruction --> parameters --> RESET ENCODE | EXPAND | INTEGRATE | FIRE | CLIMB |
                        ^          PLASTICITY | SCALE
                        |                |     ^               | spikes
    host <--> STATE ----+----------------+-----+               v
              EVENTS <------------------------------------ recorder
    WEIGHT, INPUT, TARGET, LFSRs <-------+
"""

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import DeviceConfig, region_tiles
from hw.instruction import INSTRUCTION
from hw.isa import Region
from hw.lfsr import STATE_BITS
from hw.numbers import WORD_BITS
from hw.statistics import ReportSignature
from hw.tile_memory import TileHost, TileMemory, TileRead, TileWrite


class SpikingUnit(wiring.Component):
    """Executes SPIKING_OPCODES, to the bit as sim.golden.spiking, and holds STATE and EVENTS.

    Parameters
    ----------
    config: the device's configuration, with a spiking half

    Members
    -------
    instruction, start: a command of SPIKING_OPCODES, taken when not `busy`; the instruction holds
        still from `start` until `busy` is 0 again
    busy: a command is under way, from the cycle after `start`; all words can be read in the first
        cycle that is not busy any more
    step: the time step, which holds still likewise
    input_base, target_base: first tile of the buffer in front, likewise
    weight_read, weight_write: WEIGHT, by row and by column
    input_read: INPUT, by row and by column
    target_read: TARGET, by column
    states, lfsr_step: of the LFSRs, as in LfsrBank
    state_host, event_host: the host's access to STATE (row * lanes + lane) and to EVENTS, while not
        `busy`; words come HOST_LATENCY cycles after their address
    synapses: L weights are read to be added up or changed in this cycle
    counted: a strobe of CLIMB, with what it adds to the counters: `samples` and `correct`, 0 or 1
    report: saturations of INTEGRATE, a strobe while `busy` or in the cycle after

    Raises ValueError for a configuration without a spiking half.
    """

    HOST_LATENCY = TileMemory.HOST_LATENCY

    def __init__(self, *, config: DeviceConfig):
        if not config.spiking:
            raise ValueError(
                f"state_rows of configuration {config.name!r} must be at least 1 for a spiking "
                f"unit, not {config.state_rows}"
            )
        self.config = config
        tiles, lanes = region_tiles(config), config.lanes
        reads = {
            f"{region.name.lower()}_read": Out(TileRead(tiles=tiles[region], lanes=lanes))
            for region in (Region.WEIGHT, Region.INPUT, Region.TARGET)
        }
        super().__init__(
            {
                "instruction": In(INSTRUCTION),
                "start": In(1),
                "busy": Out(1),
                "step": In(WORD_BITS),
                "input_base": In(range(tiles[Region.INPUT])),
                "target_base": In(range(tiles[Region.TARGET])),
                **reads,
                "weight_write": Out(TileWrite(tiles=tiles[Region.WEIGHT], lanes=lanes)),
                "states": In(data.ArrayLayout(STATE_BITS, lanes)),
                "lfsr_step": Out(1),
                "state_host": In(TileHost(tiles=config.state_rows, rows=1, lanes=lanes)),
                "event_host": In(TileHost(tiles=config.event_words // lanes, rows=1, lanes=lanes)),
                "synapses": Out(1),
                "counted": Out(1),
                "samples": Out(1),
                "correct": Out(1),
                "report": Out(ReportSignature()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        raise NotImplementedError("the units are not there yet")
