"""Walks the tiles of an array command: which operands to read in which cycle, and what follows.

    instruction --> +-----------------------------+ --> left:  tile, index     (L words a cycle)
          start --> | outer: B-axis tiles         | --> right: tile, index     (B words a cycle)
                    |   inner: L-axis tiles       | --> first, last of a tile
        ready <---- |     k: depth                | --> context of the tile, with last
                    +-----------------------------+

Every cycle of a walk reads one pair of operands, except that the last pair of a tile waits until
`spacing` cycles after the one before, so that the drain of the array and the contexts in flight
never collide.
"""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import DeviceConfig
from hw.instruction import INSTRUCTION, used_bits
from hw.isa import DropoutFlag, GradientFlag, Opcode
from hw.numbers import DROPOUT_BITS

COMMAND_GAP = 24
"""Least cycles between the ends of two commands, whose statistics are counted one by one."""

CONTEXTS_IN_FLIGHT = 4

TILE_PREPARATION = 2
"""Cycles until the place of the tile after a new one is known."""


def address_bits(*tiles: int) -> int:
    """Bits of a tile's index in the largest of some memories."""
    return max(1, (max(tiles) - 1).bit_length())


def tile_context(config: DeviceConfig) -> data.StructLayout:
    """What must be known of a tile after its operands were read."""
    accumulation = {"flags": len(GradientFlag)} if config.accumulation else {}
    dest_bits = address_bits(
        config.activation_tiles, config.output_tiles, config.delta_tiles, config.weight_tiles
    )
    gate_bits = address_bits(config.activation_tiles)
    dropout = {"drop": 1, "scale": 1} if config.dropout else {}
    return data.StructLayout(
        {
            **dropout,
            "opcode": INSTRUCTION["opcode"].shape,
            "activation": INSTRUCTION["activation"].shape,
            "destination": 1,
            "use_momentum": 1,
            "shift": INSTRUCTION["shift"].shape,
            "leak_shift": INSTRUCTION["leak_shift"].shape,
            "fraction": INSTRUCTION["fraction"].shape,
            "statistic": INSTRUCTION["statistic"].shape,
            "mask": config.lanes,
            "columns": config.batch_lanes.bit_length(),
            "block": address_bits(config.lanes // config.batch_lanes),
            "dest": dest_bits,
            "gate": max(gate_bits, DROPOUT_BITS) if config.dropout else gate_bits,
            "final": 1,
            **accumulation,
        }
    )


class TileWalk(wiring.Component):
    """The loops of FORWARD, BACKWARD and GRADIENT.

    A walk of T tiles at depth K takes T * max(K, spacing) cycles at most, and two more to start.

    Parameters
    ----------
    config: the device's configuration
    drain_latency: cycles from a read to the first column of its tile at the array's output

    Members
    -------
    instruction, start: a command, taken when `ready`
    ready: no walk is under way
    read: operands are read in this cycle, from `left_tile` and `right_tile` at `index`
    first, last: the read is the first, the last of its tile
    block: which B of the L words of a row read are the right operand
    gradient, backward: what the walk is; otherwise it is forward
    source: the right operand's Source, unless backward
    context: of the tile whose `last` is given
    interval: cycles that each drained column needs
    """

    def __init__(self, *, config: DeviceConfig, drain_latency: int):
        self.config = config
        self.drain_latency = drain_latency
        self.left_bits = address_bits(config.weight_tiles, config.delta_tiles)
        self.right_bits = address_bits(
            config.input_tiles, config.activation_tiles, config.delta_tiles
        )
        # FORWARD and BACKWARD, then GRADIENT, whose columns pass through the update unit too.
        self.intervals = (
            config.epilogue_interval,
            max(config.epilogue_interval, config.update_interval),
        )
        context = tile_context(config)
        super().__init__(
            {
                "instruction": In(INSTRUCTION),
                "start": In(1),
                "ready": Out(1),
                "read": Out(1),
                "left_tile": Out(self.left_bits),
                "right_tile": Out(self.right_bits),
                "index": Out(range(config.lanes)),
                "first": Out(1),
                "last": Out(1),
                "block": Out(context["block"].shape),
                "gradient": Out(1),
                "backward": Out(1),
                "source": Out(1),
                "interval": Out(range(self.intervals[1] + 1)),
                "context": Out(context),
            }
        )

    def spacing(self, interval: int) -> int:
        """Cycles between the ends of two tiles whose columns drain every `interval` cycles."""
        drain = self.config.batch_lanes * interval
        return max(drain, -(-(self.drain_latency + drain + 1) // CONTEXTS_IN_FLIGHT), 4)

    def gap(self, interval: int) -> int:
        """Cycles between the ends of two commands, the first of which drains at `interval`.

        It may end with its last column, the other with its first one.
        """
        clipping = 1 if self.config.accumulation else 0
        return COMMAND_GAP + clipping + (self.config.batch_lanes - 1) * interval

    def elaborate(self, platform: object) -> Module:
        m = Module()
        command = Signal(INSTRUCTION)
        walking = Signal()
        m.d.comb += [
            self.ready.eq(~walking),
            self.gradient.eq(command.opcode == Opcode.GRADIENT),
            self.backward.eq(command.opcode == Opcode.BACKWARD),
            self.source.eq(command.source),
            self.interval.eq(Mux(self.gradient, self.intervals[1], self.intervals[0])),
        ]
        step_tile = Signal()
        # Between commands all is ready for the next one: `start` comes late and lets it go only.
        with m.If(~walking):
            m.d.sync += command.eq(self.instruction)
            with m.If(self.start):
                m.d.sync += walking.eq(1)
        tiles_left = self._walk_tiles(m, command, walking, step_tile)
        self._walk_depth(m, command, walking, step_tile)
        with m.If(step_tile & ~tiles_left):
            m.d.sync += walking.eq(0)
        return m

    def _walk_depth(
        self, m: Module, command: data.View, walking: Signal, step_tile: Signal
    ) -> None:
        """The innermost loop: one read a cycle, the last one of a tile when it may come."""
        config = self.config
        remaining = Signal(used_bits(config)["depth"])
        final_step = Signal()
        spacings = [self.spacing(interval) for interval in self.intervals]
        gaps = [self.gap(interval) for interval in self.intervals]
        cooldown = Signal(range(max(*gaps, *spacings)))
        # A depth tile is B samples in GRADIENT, L features otherwise.
        wrap = Mux(
            self.gradient,
            self.index[: config.batch_lanes.bit_length() - 1].all(),
            self.index.all(),
        )
        m.d.comb += [
            self.read.eq(walking & ~(final_step & (cooldown != 0))),
            self.last.eq(final_step),
            step_tile.eq(self.read & final_step),
        ]
        with m.If(cooldown != 0):
            m.d.sync += cooldown.eq(cooldown - 1)
        with m.If(~walking | step_tile):
            depth = Mux(walking, command.depth, self.instruction.depth)
            m.d.sync += [
                remaining.eq(depth),
                final_step.eq(depth == 1),
                self.first.eq(1),
                self.index.eq(0),
            ]
        with m.If(~walking & self.start & (cooldown < TILE_PREPARATION)):
            m.d.sync += cooldown.eq(TILE_PREPARATION)
        with m.Elif(step_tile):
            spacing = Mux(self.gradient, spacings[1] - 1, spacings[0] - 1)
            gap = Mux(self.gradient, gaps[1] - 1, gaps[0] - 1)
            m.d.sync += cooldown.eq(Mux(self.context.final, gap, spacing))
        with m.If(self.read & ~step_tile):
            m.d.sync += [
                remaining.eq(remaining - 1),
                final_step.eq(remaining == 2),
                self.first.eq(0),
                self.index.eq(Mux(wrap, 0, self.index + 1)),
            ]
            with m.If(wrap):
                m.d.sync += [
                    self.left_tile.eq(self.left_tile + command.left_depth),
                    self.right_tile.eq(self.right_tile + command.right_depth),
                ]

    def _walk_tiles(
        self, m: Module, command: data.View, walking: Signal, step_tile: Signal
    ) -> Signal:
        """The two outer loops: where the tile lies, and where the next one will.

        The next tile's place is prepared in registers while the operands of the tile are read;
        tiles are at least four cycles apart. Returns whether there is a next tile.
        """
        config = self.config
        blocks = config.lanes // config.batch_lanes
        place = data.StructLayout(
            {
                "left": self.left_bits,
                "right": self.right_bits,
                "dest": self.context.dest.shape(),
                "gate": self.context.gate.shape(),
                "block": self.context.block.shape(),
                "rows": used_bits(config)["rows"],
                "columns": used_bits(config)["columns"],
            }
        )
        now, outer, following = Signal(place), Signal(place), Signal(place)
        more_rows, more_columns = Signal(), Signal()
        last_block = (outer.block == blocks - 1) | ~self.gradient
        m.d.comb += [
            more_rows.eq(now.rows > config.lanes),
            more_columns.eq(now.columns > config.batch_lanes),
        ]
        tiles_left, starts_column = Signal(), Signal()
        m.d.sync += [tiles_left.eq(more_rows | more_columns), starts_column.eq(~more_rows)]
        with m.If(~starts_column):
            m.d.sync += [
                following.eq(now),
                following.left.eq(now.left + command.left_inner),
                following.dest.eq(now.dest + command.dest_inner),
                following.gate.eq(now.gate + command.dest_inner),
                following.rows.eq(now.rows - config.lanes),
            ]
        with m.Else():
            m.d.sync += [
                following.left.eq(command.left_base),
                following.rows.eq(command.rows),
                following.columns.eq(outer.columns - config.batch_lanes),
                following.block.eq(Mux(last_block, 0, outer.block + 1)),
                following.right.eq(outer.right + Mux(last_block, command.right_outer, 0)),
                following.dest.eq(outer.dest + Mux(last_block, command.dest_outer, 0)),
                following.gate.eq(outer.gate + Mux(last_block, command.dest_outer, 0)),
            ]

        i = self.instruction
        begin = {
            "left": i.left_base,
            "right": i.right_base,
            "dest": i.dest_base,
            "gate": i.gate,
            "block": 0,
            "rows": i.rows,
            "columns": i.columns,
        }
        with m.If(~walking):
            for name, value in begin.items():
                m.d.sync += [now[name].eq(value), outer[name].eq(value)]
            m.d.sync += [self.left_tile.eq(i.left_base), self.right_tile.eq(i.right_base)]
        with m.Elif(step_tile):
            m.d.sync += [
                now.eq(following),
                self.left_tile.eq(following.left),
                self.right_tile.eq(following.right),
            ]
            with m.If(starts_column):
                m.d.sync += outer.eq(following)

        m.d.comb += self.block.eq(now.block)
        self._describe(m, command, now, more_rows, more_columns)
        return tiles_left

    def _describe(
        self,
        m: Module,
        command: data.View,
        now: data.View,
        more_rows: Signal,
        more_columns: Signal,
    ) -> None:
        """Fill the context of the tile."""
        lanes, batch_lanes = self.config.lanes, self.config.batch_lanes
        masks = Array([(1 << count) - 1 for count in range(lanes)])
        same = (
            "opcode activation destination use_momentum shift leak_shift fraction statistic"
        ).split()
        if self.config.accumulation:
            same.append("flags")
        m.d.comb += [self.context[name].eq(command[name]) for name in same]
        m.d.comb += [
            self.context.mask.eq(
                Mux(now.rows >= lanes, (1 << lanes) - 1, masks[now.rows[: lanes.bit_length() - 1]])
            ),
            self.context.columns.eq(Mux(more_columns, batch_lanes, now.columns)),
            self.context.block.eq(now.block),
            self.context.dest.eq(now.dest),
            self.context.gate.eq(now.gate),
            self.context.final.eq(~more_rows & ~more_columns),
        ]
        if self.config.dropout:
            m.d.comb += [
                self.context.gate.eq(Mux(self.backward, now.gate, command.gate)),
                self.context.drop.eq(command.flags[DropoutFlag.DROP]),
                self.context.scale.eq(command.flags[DropoutFlag.SCALE]),
            ]
