"""The loss unit: loss, right answers, and the deltas of the output layer.

    instruction --> LossWalk --reads--> OUTPUT, TARGET, DELTA
                       |                        | columns: a class of B samples
                      step ----> LossLane 0 .. B-1: peak, hit, product
                       |                        |
                       +-------> LossTail: loss, scales, words --> DELTA
                       |                        |
                       +-------> correct, saturations
"""

from amaranth.hdl import Elaboratable, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.activity import while_active
from hw.config import DeviceConfig, region_tiles
from hw.fan_out import own_register
from hw.instruction import INSTRUCTION
from hw.isa import Loss, Region
from hw.loss_lane import LossLane, stages
from hw.loss_tail import SAMPLE_BITS, LossTail
from hw.loss_walk import LOSS_READS, LossWalk
from hw.numbers import WORD_BITS
from hw.statistics import AMOUNT_BITS, ReportSignature
from hw.tile_memory import TileMemory, TileRead, TileWrite


class LossUnit(wiring.Component):
    """Executes LOSS, to the bit as sim.golden.units.softmax_cross_entropy, mean_squared_error.

    A batch tile of B samples takes two passes over its classes, or three with cross-entropy, for
    which DELTA holds the exponentials meanwhile. Each lane has a multiplier, and a pass takes a
    cycle a class. Cycles from `start` to `done`, for C classes:

        cross-entropy         3 C + B + 20          a batch tile
        mean squared error    2 C + max(B - 1, 6)   a batch tile
        and in the end        read_latency + 10 + max(write_latency, 2)

    Parameters
    ----------
    config: the device's configuration
    read_latency, write_latency: of the tile memories

    Members
    -------
    instruction, start: a command, taken when not `busy`. Needs 1 <= rows <= max_outputs and
        columns >= 1; shift is 16 to 31 for cross-entropy, whose target is a class in any case,
        and 0 to 31 for mean squared error
    busy: a command is under way
    target_base: first tile of TARGET's front buffer
    read_output, read_target, read_delta, write_delta: ports of the tile memories
    done: strobe in the first cycle that is not busy any more; all words can be read in it, and
        `loss`, `correct`, `samples` and `report` hold the command's until the next one starts
    loss: sum over the samples, with LOSS_FRACTION_BITS for cross-entropy, else 2 * fraction
    correct: samples whose first largest output was their class; 0 without class_target
    report: how many deltas saturated

    Raises ValueError for a latency below 1.
    """

    def __init__(
        self,
        *,
        config: DeviceConfig,
        read_latency: int = TileMemory.READ_LATENCY,
        write_latency: int = TileMemory.WRITE_LATENCY,
    ):
        for name, value in (("read_latency", read_latency), ("write_latency", write_latency)):
            if value < 1:
                raise ValueError(f"{name} of a loss unit must be at least 1, not {value}")
        self.config = config
        self.read_latency = read_latency
        self.write_latency = write_latency
        self._lanes = [LossLane(config=config) for _ in range(config.batch_lanes)]
        self._tail = LossTail(config=config)
        self._walk = self._walked()
        tiles = region_tiles(config)
        reads = {
            f"read_{region.name.lower()}": Out(TileRead(tiles=tiles[region], lanes=config.lanes))
            for region in LOSS_READS
        }
        super().__init__(
            {
                "instruction": In(INSTRUCTION),
                "start": In(1),
                "busy": Out(1),
                "target_base": In(range(tiles[Region.TARGET])),
                **reads,
                "write_delta": Out(TileWrite(tiles=tiles[Region.DELTA], lanes=config.lanes)),
                "done": Out(1),
                "loss": Out(64),
                "correct": Out(SAMPLE_BITS),
                "samples": Out(SAMPLE_BITS),
                "report": Out(ReportSignature()),
            }
        )

    def cycles(self, *, rows: int, columns: int, loss: Loss) -> int:
        """Cycles from `start` to `done` of a command."""
        return self._walk.cycles(rows=rows, columns=columns, loss=loss)

    def _walked(self) -> LossWalk:
        """The walk, with pauses such that no pass overtakes what it needs.

        Turn: an exponential is written sooner than a delta, but there is one write port. Rest:
        the first exponential can be read, and the scales are known when it is multiplied; or,
        without them, the sums of a tile are used up before those of the next one begin.
        """
        product_latency = self.read_latency + LossLane.PRODUCT_STAGE
        turn = LossTail.DELTA_LATENCY - LossTail.SUM_LATENCY - 1
        scale_rest = max(
            LossLane.PRODUCT_STAGE - LossLane.DIFFERENCE_STAGE + self._tail.samples_latency - 1,
            product_latency + LossTail.SUM_LATENCY + self.write_latency - 1,
        )
        return LossWalk(
            config=self.config,
            rest={
                Loss.MEAN_SQUARED_ERROR: max(self.config.batch_lanes - 1 - turn, 1),
                Loss.CROSS_ENTROPY: scale_rest,
            },
            turn=turn,
            drain=product_latency + LossTail.DELTA_LATENCY + max(self.write_latency, 2),
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.walk = walk = self._walk
        m.submodules.tail = tail = self._tail
        # The first busy cycle, long before there is something to count.
        self._begun = Signal(name="begun")
        m.d.sync += self._begun.eq(self.start & ~self.busy)
        for name in ("instruction", "start", "target_base"):
            m.d.comb += getattr(walk, name).eq(getattr(self, name))
        for region in LOSS_READS:
            name = f"read_{region.name.lower()}"
            connect(m, getattr(walk, name), flipped(getattr(self, name)))
        steps = stages(m, walk.step, self.read_latency + LossLane.PRODUCT_STAGE, "step")
        ragged_mask = self._ragged_mask(m)
        self._connect_lanes(m, steps)
        m.d.comb += [
            tail.step.eq(steps[-1]),
            tail.clear.eq(self._begun),
            tail.ragged_mask.eq(ragged_mask),
            tail.cross_entropy.eq(walk.cross_entropy),
            tail.shift.eq(own_register(m, walk.shift, "tail_shift")),
            tail.residual.eq(own_register(m, walk.residual, "tail_residual")),
        ]
        self._write(m)
        self._count(m, steps, ragged_mask)
        active = self.start | self.busy | self.done
        return while_active(m, active, platform, name="loss", after=1)

    def _ragged_mask(self, m: Module) -> Signal:
        """The samples that the last batch tile has."""
        samples = self.config.batch_lanes
        mask = Signal(samples)
        rest = self._walk.samples[: samples.bit_length() - 1]
        m.d.sync += [bit.eq((rest == 0) | (rest > lane)) for lane, bit in enumerate(mask)]
        return mask

    def _connect_lanes(self, m: Module, steps: list[data.View]) -> None:
        """Give every lane its words and strobes, and the tail what they make of them."""
        walk, tail = self._walk, self._tail
        # A cycle before they are needed, for registers of each lane's own.
        arriving = steps[self.read_latency - 1]
        present = arriving.peak | arriving.sum | arriving.delta
        scanned = steps[self.read_latency + LossLane.SCAN_STAGE - 1]
        taken = steps[self.read_latency + LossLane.DIFFERENCE_STAGE - 1]
        exponentials = arriving.delta & walk.cross_entropy
        strobes = {
            "output": present & ~exponentials,
            "delta": exponentials,
            "target": present & (arriving.first | ~walk.class_target),
            "scan": Mux(walk.cross_entropy, scanned.peak, scanned.sum),
            "first": scanned.first,
            "tables": scanned.sum & walk.cross_entropy,
            "exponential": scanned.delta & walk.cross_entropy,
            "square": taken.sum,
        }
        constants = {
            "class_target": walk.class_target,
            "one": (1 << walk.fraction)[:WORD_BITS],
            "residual": walk.residual,
        }
        class_number = Signal(range(self.config.max_outputs))
        arrived = steps[self.read_latency]
        with m.If(arrived.peak | arrived.sum | arrived.delta):
            m.d.sync += class_number.eq(Mux(arrived.first, 0, class_number + 1))
        for k, lane in enumerate(self._lanes):
            m.submodules[f"lane_{k}"] = lane
            for name, strobe in strobes.items():
                m.d.comb += lane.step[name].eq(own_register(m, strobe, f"{name}_{k}"))
            for name, constant in constants.items():
                own = own_register(m, constant, f"{name}_{k}")
                m.d.comb += getattr(lane, name).eq(own)
            m.d.comb += [
                lane.output.eq(self.read_output.data[k]),
                lane.target.eq(self.read_target.data[k]),
                lane.delta.eq(self.read_delta.data[k]),
                lane.class_number.eq(class_number),
                lane.scale.eq(tail.scales[k]),
                lane.side.eq(tail.side if k == 0 else 0),
                lane.a.eq(tail.reciprocal),
                lane.b.eq(lane.residual),
                tail.products[k].eq(lane.product),
                tail.surprises[k].eq(lane.surprise),
                tail.onehots[k].eq(lane.onehot),
            ]

    def _write(self, m: Module) -> None:
        """Where the tail's words go: class after class, tile after tile."""
        tail, port = self._tail, self.write_delta
        i = self.instruction
        lane_bits = self.config.lanes.bit_length() - 1
        base, stride = Signal(port.tile.shape()), Signal(port.tile.shape())
        class_number = Signal(range(self.config.max_outputs))
        m.d.comb += [
            port.mask.eq(tail.write),
            port.tile.eq(base + class_number[lane_bits:]),
            port.index.eq(class_number),
            port.column.eq(1),
        ]
        for lane, word in enumerate(tail.words):
            m.d.comb += port.data[lane].eq(word)
        with m.If(~self.busy):
            m.d.sync += [base.eq(i.dest_base), stride.eq(i.dest_outer)]
        with m.Elif(tail.valid & tail.last & tail.is_delta):
            m.d.sync += base.eq(base + stride)
        with m.If(tail.valid):
            m.d.sync += class_number.eq(Mux(tail.last, 0, class_number + 1))

    def _count(self, m: Module, steps: list[data.View], ragged_mask: Signal) -> None:
        """The command's results."""
        walk, tail = self._walk, self._tail
        stage = self.read_latency + LossLane.DIFFERENCE_STAGE
        strobe, before = steps[stage], steps[stage - 1]
        everyone = (1 << self.config.batch_lanes) - 1
        mask = Mux(strobe.ragged, ragged_mask, everyone)
        scanned = Mux(walk.cross_entropy, before.peak, before.sum)
        counting = own_register(m, scanned & before.last & walk.class_target, "counting")
        hits = Signal(range(self.config.batch_lanes + 1))
        hit = [lane.hit & bit & counting for lane, bit in zip(self._lanes, mask, strict=True)]
        m.d.sync += hits.eq(sum(hit))
        saturations = Signal(min(AMOUNT_BITS, SAMPLE_BITS + self.config.max_outputs.bit_length()))
        with m.If(self._begun):
            m.d.sync += [self.correct.eq(0), saturations.eq(0)]
        with m.Else():
            m.d.sync += [
                self.correct.eq(self.correct + hits),
                saturations.eq(saturations + tail.saturated),
            ]
        m.d.comb += [
            self.busy.eq(walk.busy),
            self.done.eq(walk.done),
            self.loss.eq(tail.loss),
            self.samples.eq(walk.samples),
            self.report.valid.eq(walk.done),
            self.report.statistic.eq(walk.statistic),
            self.report.amount.eq(saturations),
        ]
