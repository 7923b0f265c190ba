"""What lies between the device's control and its memories, whichever way it is built.

    instruction, starts --> +------+ --> ready, busy, retire
    loader's words -------> | core | --> samples, correct, loss, saturations
    host's words <--------> +------+

`hw.parallel_core` has a unit for each kind of command, which work at once on vectors of L words;
`hw.serial_core` does one thing after the other, a word at a time, with a fraction of the cells;
`hw.spiking_core` has the spiking half alone, and `hw.serial_spiking_core` so few cells of it that
the smallest part has room.
"""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import DeviceConfig
from hw.host_bus import WORD_ADDRESS_BITS
from hw.instruction import INSTRUCTION
from hw.isa import WEIGHT_STATISTICS, Region
from hw.loader import TileRowWrite
from hw.numbers import NORM_BITS, WORD_BITS
from hw.statistics import ReportSignature


def reporters(config: DeviceConfig) -> int:
    """How many units report saturations: those of the array's commands, LOSS, the spiking half.

    In a serial core the first ones report one after the other.
    """
    supervised = 1 + (1 if config.serial else len(WEIGHT_STATISTICS))
    return config.supervised * supervised + config.spiking


class CoreSignature(wiring.Signature):
    """A core, as its user sees it.

    Members
    -------
    instruction: the one that is dispatched; a serial core needs it until the command has ended
    array_start, array_ready, array_retire: dispatch, whether another fits, one has finished
    array_busy: the array takes operands in this cycle
    loss_start, loss_busy: of LOSS
    loss_done, samples, correct, loss: a strobe, and what the command adds to these counters
    spiking_start, spiking_busy, time_step: of the spiking half, where there is one
    forget, clip_start, clip_busy: a program starts; of CLIP, where gradients are accumulated
    norm: with `loss_done`, what CLIP adds to this counter
    threshold: the register CLIP_THRESHOLD
    front: which buffer of INPUT and TARGET commands read
    input, target: the loader's words
    factor, rate, rate_shift, decay, decay_shift: the registers of these names
    region, address, write_enable, write_data: the host's access to a tile memory or to the LFSRs,
        while no command runs
    read_data: the word at `address`, the core's `read_latency` later
    reports: saturations
    """

    def __init__(self, *, config: DeviceConfig):
        rows = {
            name: Out(
                TileRowWrite(tiles=2 * tiles, rows=config.batch_lanes, lanes=config.lanes)
            )
            for name, tiles in (("input", config.input_tiles), ("target", config.target_tiles))
        }
        spiking = {"spiking_start": Out(1), "spiking_busy": In(1), "time_step": Out(16)}
        accumulation = {
            "forget": Out(1),
            "clip_start": Out(1),
            "clip_busy": In(1),
            "norm": In(NORM_BITS),
            "threshold": Out(WORD_BITS),
        }
        super().__init__(
            {
                "instruction": Out(INSTRUCTION),
                "array_start": Out(1),
                "array_ready": In(1),
                "array_retire": In(1),
                "array_busy": In(1),
                "loss_start": Out(1),
                "loss_busy": In(1),
                "loss_done": In(1),
                "samples": In(16),
                "correct": In(16),
                "loss": In(64),
                "front": Out(1),
                **(spiking if config.spiking else {}),
                **(accumulation if config.accumulation else {}),
                **rows,
                "factor": Out(WORD_BITS),
                "rate": Out(WORD_BITS),
                "rate_shift": Out(4),
                "decay": Out(WORD_BITS),
                "decay_shift": Out(4),
                "region": Out(range(max(Region) + 1)),
                "address": Out(WORD_ADDRESS_BITS),
                "write_enable": Out(1),
                "write_data": Out(WORD_BITS),
                "read_data": In(WORD_BITS),
                "reports": In(ReportSignature()).array(reporters(config)),
            }
        )
