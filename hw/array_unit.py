"""The array commands from operand reads to results: FORWARD, BACKWARD and GRADIENT.

    walk --> WEIGHT | DELTA ------------> left  --+
         --> INPUT | ACTIVATION | DELTA -> right --+--> MAC array --columns--> epilogue --+
         --> context of a tile -------------------------------^   ^                       |
                                                        ACTIVATION (gate)                 |
      ACTIVATION | OUTPUT | DELTA <-- words ----------------------------------------------+
      WEIGHT, MOMENTUM <--> update unit <-- gradient -------------------------------------+

Where gradients are accumulated, columns pass `hw.gradient_sums` before the epilogue, and gradients
`hw.gradient_clip` behind it, whatever is done with them there.

Nothing here waits: the walk spaces its tiles so that all that follows keeps up.
"""

from amaranth.hdl import Array, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.activity import while_active
from hw.clip_factor import ROOT_BITS, ClipFactor
from hw.config import DeviceConfig, region_tiles
from hw.epilogue import Epilogue
from hw.gradient_clip import GradientClip
from hw.gradient_sums import GradientSums
from hw.instruction import INSTRUCTION
from hw.isa import WEIGHT_STATISTICS, Destination, GradientFlag, Opcode, Region, Source
from hw.mac_array import MacArray
from hw.numbers import DROPOUT_BITS, WORD_BITS
from hw.statistics import ReportSignature, amount_bits
from hw.sum_memory import SumRead, SumWrite
from hw.tile_memory import TileRead, TileWrite
from hw.tile_walk import CONTEXTS_IN_FLIGHT, TileWalk, tile_context
from hw.update_unit import UpdateUnit

UPDATE_PORTS = (
    *("factor", "rate", "rate_shift", "decay", "decay_shift"),
    *("lfsr_address", "lfsr_write", "lfsr_write_data", "lfsr_read_data"),
)
"""Members that are those of the update unit: rates, and the host's port of the LFSRs."""


def delayed(m: Module, value: ValueLike, cycles: int) -> ValueLike:
    """`value`, `cycles` cycles later."""
    for _ in range(cycles):
        register = Signal.like(value)
        m.d.sync += register.eq(value)
        value = register
    return value


def array_reads(config: DeviceConfig) -> tuple[Region, ...]:
    """Memories that the array commands read."""
    momentum = (Region.MOMENTUM,) if config.momentum else ()
    return (Region.WEIGHT, *momentum, Region.INPUT, Region.ACTIVATION, Region.DELTA)


def array_writes(config: DeviceConfig) -> tuple[Region, ...]:
    """Memories that the array commands write."""
    momentum = (Region.MOMENTUM,) if config.momentum else ()
    return (Region.WEIGHT, *momentum, Region.ACTIVATION, Region.OUTPUT, Region.DELTA)


def accumulation_members(config: DeviceConfig) -> dict[str, wiring.Member]:
    """Members of a device that accumulates gradients."""
    sizes = {"tiles": config.weight_tiles, "lanes": config.lanes}
    return {
        "read_gradient": Out(SumRead(**sizes)),
        "write_gradient": Out(SumWrite(**sizes)),
        "forget": In(1),
        "clip_start": In(1),
        "clip_busy": Out(1),
        "clip_done": Out(1),
        "norm": Out(ROOT_BITS),
        "threshold": In(WORD_BITS),
    }


class ArrayUnit(wiring.Component):
    """Reads operands, multiplies, and writes results; one read of each operand a cycle.

    Parameters
    ----------
    config: the device's configuration
    read_latency, write_latency: of the memories but GRADIENT, as this unit sees them

    Members
    -------
    instruction, start: a command, taken when `ready`
    ready: the operands of all commands have been read
    retire: a strobe when all results of a command can be read
    busy: operands are read in this cycle
    input_base: first tile of INPUT's front buffer
    read_REGION, write_REGION: ports of the tile memories, in lower case
    reports: saturations of a command, in the order of WEIGHT_STATISTICS; the first one's also
        serves FORWARD and BACKWARD
    and those of the update unit in UPDATE_PORTS; and where gradients are accumulated

    read_gradient, write_gradient: ports of GRADIENT
    forget: a program starts: no squares, and the factor 1
    clip_start, clip_busy, clip_done: of CLIP, while no other command is under way; the instruction
        holds still
    norm: what it found, with `clip_done`
    threshold: the register CLIP_THRESHOLD

    Attributes
    ----------
    operand_latency: cycles from a read to the operands at the array's inputs
    """

    def __init__(self, *, config: DeviceConfig, read_latency: int, write_latency: int):
        self.config = config
        self._read_latency = read_latency
        self._write_latency = write_latency
        self.operand_latency = self._read_latency + 1
        self._walk = TileWalk(config=config, drain_latency=self.operand_latency + MacArray.LATENCY)
        context = tile_context(config)
        same = ["opcode", "destination", "use_momentum", "statistic", "dest"]
        sums = {}
        if config.accumulation:
            self._sums = GradientSums(config=config)
            self._clip = GradientClip(config=config)
            self._factor = ClipFactor()
            same.append("flags")
            sums["sum_saturations"] = self._sums.saturations.shape()
        self._tag = data.StructLayout(
            {
                **{name: context[name].shape for name in same},
                "index": range(config.lanes),
                "final": 1,
                **sums,
            }
        )
        # What passes between the array and the epilogue, and between it and the update unit.
        self._sums_latency = GradientSums.LATENCY if config.accumulation else 0
        self._clip_latency = GradientClip.LATENCY if config.accumulation else 0
        self._epilogue = Epilogue(
            config=config,
            tag_width=self._tag.size,
            interval=config.epilogue_interval,
        )
        self._update = UpdateUnit(config=config, read_latency=self._read_latency)
        shared = ("lfsr_step", "lfsr_states") if config.spiking else ()
        self._update_ports = (*UPDATE_PORTS, *shared)
        tiles = region_tiles(config)
        members = {
            "instruction": In(INSTRUCTION),
            "start": In(1),
            "ready": Out(1),
            "retire": Out(1),
            "busy": Out(1),
            "input_base": In(range(tiles[Region.INPUT])),
            "reports": Out(ReportSignature()).array(len(WEIGHT_STATISTICS)),
        }
        for region in array_reads(config):
            signature = TileRead(tiles=tiles[region], lanes=config.lanes)
            members[f"read_{region.name.lower()}"] = Out(signature)
        for region in array_writes(config):
            signature = TileWrite(tiles=tiles[region], lanes=config.lanes)
            members[f"write_{region.name.lower()}"] = Out(signature)
        for name in self._update_ports:
            members[name] = self._update.signature.members[name]
        if config.accumulation:
            members |= accumulation_members(config)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.walk = walk = self._walk
        m.submodules.mac_array = mac_array = MacArray(
            lanes=self.config.lanes,
            batch_lanes=self.config.batch_lanes,
            accumulator_width=self.config.accumulator_width,
            intervals=walk.intervals,
            family=self.config.family,
        )
        m.submodules.epilogue = epilogue = self._epilogue
        m.submodules.update = self._update
        m.d.comb += [
            walk.instruction.eq(self.instruction),
            walk.start.eq(self.start),
            self.ready.eq(walk.ready),
            self.busy.eq(walk.read),
        ]
        self._read_operands(m, walk, mac_array)
        self._drain(m, walk, mac_array, epilogue, platform)
        tag = Signal(self._tag)
        m.d.comb += tag.eq(epilogue.o_tag)
        self._write_words(m, epilogue, tag)
        self._update_weights(m, epilogue, tag, platform)
        self._retire(m, epilogue, tag)
        return m

    def _read_operands(self, m: Module, walk: TileWalk, mac_array: MacArray) -> None:
        """From the memories that the command names to the array's operands."""
        from_activation = ~walk.backward & (walk.source == Source.ACTIVATION)
        from_input = ~walk.backward & (walk.source == Source.INPUT)
        weight, delta = self.read_weight, self.read_delta
        m.d.comb += [
            weight.enable.eq(walk.read & ~walk.gradient),
            weight.tile.eq(walk.left_tile),
            weight.index.eq(walk.index),
            weight.column.eq(~walk.backward),
            delta.enable.eq(walk.read & (walk.gradient | walk.backward)),
            delta.tile.eq(Mux(walk.gradient, walk.left_tile, walk.right_tile)),
            delta.index.eq(walk.index),
            delta.column.eq(walk.backward),
            self.read_input.enable.eq(walk.read & from_input),
            self.read_input.tile.eq(walk.right_tile + self.input_base),
            self.read_input.index.eq(walk.index),
            self.read_input.column.eq(~walk.gradient),
            self.read_activation.enable.eq(walk.read & from_activation),
            self.read_activation.tile.eq(walk.right_tile),
            self.read_activation.index.eq(walk.index),
            self.read_activation.column.eq(~walk.gradient),
        ]
        latency = self._read_latency
        gradient = delayed(m, walk.gradient, latency)
        backward = delayed(m, walk.backward, latency)
        from_activation = delayed(m, from_activation, latency)
        block = delayed(m, Mux(walk.gradient, walk.block, 0), latency)
        batch_lanes = self.config.batch_lanes
        blocks = range(self.config.lanes // batch_lanes)
        for lane in range(self.config.lanes):
            left = Mux(gradient, delta.data[lane], weight.data[lane])
            m.d.sync += mac_array.left[lane].eq(left)
        for lane in range(batch_lanes):
            words = [
                Array([port.data[k * batch_lanes + lane] for k in blocks])[block]
                for port in (self.read_activation, self.read_input)
            ]
            right = Mux(backward, delta.data[lane], Mux(from_activation, words[0], words[1]))
            m.d.sync += mac_array.right[lane].eq(right)
        m.d.comb += [
            mac_array.valid.eq(delayed(m, walk.read, latency + 1)),
            mac_array.first.eq(delayed(m, walk.first, latency + 1)),
            mac_array.last.eq(delayed(m, walk.last, latency + 1)),
            mac_array.interval.eq(delayed(m, walk.interval, latency + 1)),
        ]

    def _drain(
        self,
        m: Module,
        walk: TileWalk,
        mac_array: MacArray,
        epilogue: Epilogue,
        platform: object,
    ) -> None:
        """Columns of the array, with the context of their tile, into the epilogue."""
        contexts = Array(
            Signal(tile_context(self.config), name=f"context_{k}")
            for k in range(CONTEXTS_IN_FLIGHT)
        )
        filled, drained = Signal(range(CONTEXTS_IN_FLIGHT)), Signal(range(CONTEXTS_IN_FLIGHT))
        with m.If(walk.read & walk.last):
            m.d.sync += [contexts[filled].eq(walk.context), filled.eq(filled + 1)]
        context = Signal(tile_context(self.config))
        column = mac_array.o_index
        m.d.comb += context.eq(contexts[drained])
        with m.If(mac_array.o_valid & (column == self.config.batch_lanes - 1)):
            m.d.sync += drained.eq(drained + 1)
        # Columns that are not there come too, when the command that has none of them has retired.
        there = Signal(name="there")
        m.d.comb += there.eq(mac_array.o_valid & (column < context.columns))
        block_column = context.block * self.config.batch_lanes + column
        columns, saturations = mac_array.o_column, None
        if self.config.accumulation:
            columns, saturations = self._accumulate(
                m, there, context, block_column, mac_array, platform
            )
            there, column, context, block_column = (
                delayed(m, value, self._sums_latency)
                for value in (there, column, context, block_column)
            )

        # The gate is read so late that it comes when the epilogue takes it.
        gate, wait = self.read_activation, Epilogue.GATE_OFFSET - self._read_latency
        gated = delayed(m, there & (context.opcode == Opcode.BACKWARD), wait)
        gate_tile, gate_row = delayed(m, context.gate, wait), delayed(m, column, wait)
        with m.If(gated):
            m.d.comb += [
                gate.enable.eq(1),
                gate.tile.eq(gate_tile),
                gate.index.eq(gate_row),
                gate.column.eq(0),
            ]
        if self.config.dropout:
            drawing = there & context.drop & (context.opcode == Opcode.FORWARD)
            self._draw(m, epilogue, delayed(m, drawing, Epilogue.GATE_OFFSET))
            rate = delayed(m, gate_tile, self._read_latency)
            m.d.comb += [
                epilogue.drop.eq(context.drop),
                epilogue.scale.eq(context.scale),
                epilogue.rate.eq(rate[:DROPOUT_BITS]),
            ]
        tag = Signal(self._tag)
        if saturations is not None:
            m.d.comb += [tag.flags.eq(context.flags), tag.sum_saturations.eq(saturations)]
        m.d.comb += [
            tag.opcode.eq(context.opcode),
            tag.destination.eq(context.destination),
            tag.use_momentum.eq(context.use_momentum),
            tag.statistic.eq(context.statistic),
            tag.dest.eq(context.dest),
            tag.index.eq(Mux(context.opcode == Opcode.GRADIENT, block_column, column)),
            tag.final.eq(context.final & (column == context.columns - 1)),
            epilogue.valid.eq(there),
            epilogue.opcode.eq(context.opcode),
            epilogue.activation.eq(context.activation),
            epilogue.shift.eq(context.shift),
            epilogue.fraction.eq(context.fraction),
            epilogue.leak_shift.eq(context.leak_shift),
            epilogue.mask.eq(context.mask),
            epilogue.tag.eq(tag),
        ]
        for lane in range(self.config.lanes):
            m.d.comb += [
                epilogue.accumulators[lane].eq(columns[lane]),
                epilogue.gate[lane].eq(gate.data[lane]),
            ]

    def _draw(self, m: Module, epilogue: Epilogue, drawing: Value) -> None:
        """A random number for each lane of a column that may be dropped, from the update's LFSRs.

        So a FORWARD with dropout and a GRADIENT must not be open together.
        """
        m.d.comb += self._update.lfsr_leap.eq(drawing)
        for lane in range(self.config.lanes):
            state = self._update.lfsr_states[lane]
            m.d.comb += epilogue.random[lane].eq(state[:DROPOUT_BITS])

    def _accumulate(
        self,
        m: Module,
        there: Value,
        context: data.View,
        index: Value,
        mac_array: MacArray,
        platform: object,
    ) -> tuple[data.View, Value]:
        """What the epilogue gets instead of the array's columns, and how many lanes saturated."""
        sums = self._sums
        gradient = there & (context.opcode == Opcode.GRADIENT)
        alone = gradient & context.flags[GradientFlag.CLIP]
        m.submodules.sums = while_active(
            sums, sums.valid, platform, name="sums", after=sums.LATENCY
        )
        m.d.comb += [
            sums.valid.eq(there),
            sums.product.eq(~alone),
            sums.stored.eq(alone | (gradient & context.flags[GradientFlag.ADD])),
            sums.hold.eq(gradient & context.flags[GradientFlag.HOLD]),
            sums.mask.eq(context.mask),
            sums.tile.eq(context.dest),
            sums.index.eq(index),
            sums.column.eq(mac_array.o_column),
        ]
        connect(m, sums.read, flipped(self.read_gradient))
        connect(m, sums.write, flipped(self.write_gradient))
        return sums.totals, sums.saturations

    def _write_words(self, m: Module, epilogue: Epilogue, tag: data.View) -> None:
        """Words of FORWARD and BACKWARD, a row of a tile each."""
        forward = epilogue.o_valid & (tag.opcode == Opcode.FORWARD)
        to_output = tag.destination == Destination.OUTPUT
        for port, enable in (
            (self.write_activation, forward & ~to_output),
            (self.write_output, forward & to_output),
            (self.write_delta, epilogue.o_valid & (tag.opcode == Opcode.BACKWARD)),
        ):
            m.d.comb += [
                port.mask.eq(Mux(enable, epilogue.o_mask, 0)),
                port.tile.eq(tag.dest),
                port.index.eq(tag.index),
                port.column.eq(0),
            ]
            for lane in range(self.config.lanes):
                m.d.comb += port.data[lane].eq(epilogue.words[lane])

    def _clip_gradients(
        self, m: Module, valid: Value, epilogue: Epilogue, tag: data.View, platform: object
    ) -> data.View:
        """What the update unit gets instead of the epilogue's gradients; and CLIP."""
        clip, factor = self._clip, self._factor
        m.submodules.clip = while_active(
            clip, clip.valid | clip.clear, platform, name="clip", after=clip.SQUARES_LATENCY
        )
        active = self.clip_start | self.forget | factor.busy
        m.submodules.factor = while_active(factor, active, platform, name="factor")
        held = tag.flags[GradientFlag.HOLD]
        m.d.comb += [
            clip.valid.eq(valid),
            clip.square.eq(held & tag.flags[GradientFlag.NORM]),
            clip.mask.eq(epilogue.o_mask),
            clip.gradients.eq(epilogue.gradients),
            clip.factor.eq(factor.factor),
            clip.clear.eq(self.clip_start | self.forget),
            factor.start.eq(self.clip_start),
            factor.squares.eq(clip.squares),
            factor.threshold.eq(self.threshold),
            factor.forget.eq(self.forget),
            self.clip_busy.eq(factor.busy),
            self.clip_done.eq(factor.done),
            self.norm.eq(factor.norm),
        ]
        return clip.results

    def _update_weights(
        self, m: Module, epilogue: Epilogue, tag: data.View, platform: object
    ) -> None:
        """Gradients into the update unit, which reads and writes weights and momentum."""
        update = self._update
        valid: Value = epilogue.o_valid & (tag.opcode == Opcode.GRADIENT)
        mask, gradients = epilogue.o_mask, epilogue.gradients
        if self.config.accumulation:
            gradients = self._clip_gradients(m, valid, epilogue, tag, platform)
            valid = delayed(m, valid & ~tag.flags[GradientFlag.HOLD], self._clip_latency)
            mask, tag = (delayed(m, value, self._clip_latency) for value in (mask, tag))
        m.d.comb += [
            update.valid.eq(valid),
            update.mask.eq(mask),
            update.tile.eq(tag.dest),
            update.index.eq(tag.index),
            update.use_momentum.eq(tag.use_momentum),
        ]
        for lane in range(self.config.lanes):
            m.d.comb += update.gradient[lane].eq(gradients[lane])
        for name in self._update_ports:
            if self.signature.members[name].flow == In:
                m.d.comb += getattr(update, name).eq(getattr(self, name))
            else:
                m.d.comb += getattr(self, name).eq(getattr(update, name))
        ports = [(self.read_weight, update.weight_read, self.write_weight, update.weight_write)]
        if self.config.momentum:
            momentum = (self.read_momentum, update.momentum_read)
            ports.append((*momentum, self.write_momentum, update.momentum_write))
        for read, update_read, write, update_write in ports:
            # Nobody else reads momentum: its port may show a place that it does not read.
            with m.If(update_read.enable | (read is not self.read_weight)):
                m.d.comb += [
                    read.enable.eq(update_read.enable),
                    read.tile.eq(update_read.tile),
                    read.index.eq(update_read.index),
                    read.column.eq(1),
                ]
            m.d.comb += [
                write.mask.eq(Mux(update_write.enable, update_write.mask, 0)),
                write.tile.eq(update_write.tile),
                write.index.eq(update_write.index),
                write.column.eq(1),
            ]
            for lane in range(self.config.lanes):
                m.d.comb += [
                    update_read.words[lane].eq(read.data[lane]),
                    write.data[lane].eq(update_write.words[lane]),
                ]

    def _retire(self, m: Module, epilogue: Epilogue, tag: data.View) -> None:
        """Saturations of the command that ends, and the word that it has ended."""
        update = self._update
        gradient = tag.opcode == Opcode.GRADIENT
        ends = epilogue.o_valid & tag.final
        latency = self._clip_latency + update.LATENCY
        update_ends = delayed(m, ends & gradient, latency)
        statistic = delayed(m, tag.statistic, latency)
        saturations: Value = epilogue.saturations
        if self.config.accumulation:
            held = gradient & tag.flags[GradientFlag.HOLD]
            saturations = Mux(held, 0, saturations) + tag.sum_saturations
        written = self._write_latency
        m.d.comb += self.retire.eq(
            delayed(m, ends & ~gradient, written) | delayed(m, update_ends, written)
        )
        sources = (
            (epilogue.o_valid, saturations, ends, tag.statistic),
            (update.done, update.momentum_saturations, update_ends, statistic + 1),
            (update.done, update.weight_saturations, update_ends, statistic + 2),
        )
        for report, (valid, count, end, place) in zip(self.reports, sources, strict=True):
            total = Signal(amount_bits(self.config))
            # From where words are limited to where they are counted is half a large part.
            counted = delayed(m, Mux(valid, count, 0), 1)
            end, place = (delayed(m, value, 1) for value in (end, place))
            amount = (total + counted)[: len(total)]
            m.d.sync += [
                total.eq(Mux(end, 0, amount)),
                report.valid.eq(end),
                report.statistic.eq(place),
                report.amount.eq(amount),
            ]
        if self.config.accumulation:
            # No other command is under way that could report.
            with m.If(self.clip_done):
                m.d.sync += [
                    self.reports[0].valid.eq(1),
                    self.reports[0].statistic.eq(self.instruction.statistic),
                    self.reports[0].amount.eq(self._factor.clipped),
                ]
