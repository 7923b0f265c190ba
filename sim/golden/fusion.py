"""Commands that only cut one matrix into pieces, put together again.

A compiled program cuts FORWARD, LOSS and BACKWARD into chunks, so that the array and the loss unit
never idle: F1(0) F1(1) F2(0) F1(2) L(0) F2(1) ... Nobody can see the order of the pieces within a
run, and the golden model is faster on the whole: F1 F2 L. Single steps are never fused.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from hw.config import DeviceConfig
from hw.isa import Destination, DropoutFlag, Instruction, Opcode, Region, Source
from hw.layout import tiles

FIELD_BITS = 16
"""Width of an instruction's lengths."""

FUSIBLE = (Opcode.FORWARD, Opcode.BACKWARD, Opcode.LOSS)
"""GRADIENT has no pieces; and it draws from the LFSRs, so that nothing may pass it."""


def fuse(instructions: Iterable[Instruction], config: DeviceConfig) -> list[Instruction]:
    """Fewer instructions with the same effect as these array and LOSS commands in a row."""
    fused: list[Instruction] = []
    for piece in instructions:
        for place in reversed(range(len(fused))):
            whole = _joined(fused[place], piece, config)
            if whole is not None:
                fused[place] = whole
                break
            if not _may_swap(fused[place], piece, config):
                fused.append(piece)
                break
        else:
            fused.append(piece)
    return fused


@dataclass(frozen=True)
class Span:
    """Tiles `first` to `end` - 1 of a region, among them all that a command touches there."""

    region: Region
    first: int
    end: int

    def overlaps(self, other: "Span") -> bool:
        """Whether both have a tile in common."""
        return self.region == other.region and self.first < other.end and other.first < self.end


def _may_swap(first: Instruction, second: Instruction, config: DeviceConfig) -> bool:
    """Whether two commands may change places: neither writes what the other reads or writes.

    Nor do both of them draw from the LFSRs.
    """
    if first.opcode not in FUSIBLE or second.opcode not in FUSIBLE:
        return False
    if _draws(first) and _draws(second):
        return False
    writes = _written(first, config), _written(second, config)
    touched = (*_reads(first, config), writes[0]), (*_reads(second, config), writes[1])
    return not any(writes[1].overlaps(span) for span in touched[0]) and not any(
        writes[0].overlaps(span) for span in touched[1]
    )


def _draws(i: Instruction) -> bool:
    """Whether it drops outputs at random, on a device that can."""
    return i.opcode == Opcode.FORWARD and bool(i.flags >> DropoutFlag.DROP & 1)


def _reads(i: Instruction, config: DeviceConfig) -> Iterator[Span]:
    """What a command reads, but for the exponentials that a LOSS keeps where it writes."""
    lanes, batch_lanes = config.lanes, config.batch_lanes
    rows, columns = tiles(i.rows, lanes), tiles(i.columns, batch_lanes)
    if i.opcode == Opcode.LOSS:
        yield _span(Region.OUTPUT, i.right_base, (columns, i.right_outer), (rows, 1))
        yield _span(Region.TARGET, i.left_base, (columns, i.left_depth), (rows, 1))
        return
    depth = tiles(i.depth, lanes)
    right = Region.INPUT if i.source == Source.INPUT else Region.ACTIVATION
    if i.opcode == Opcode.BACKWARD:
        right = Region.DELTA
        yield _span(Region.ACTIVATION, i.gate, (columns, i.dest_outer), (rows, i.dest_inner))
    yield _span(Region.WEIGHT, i.left_base, (rows, i.left_inner), (depth, i.left_depth))
    yield _span(right, i.right_base, (columns, i.right_outer), (depth, i.right_depth))


def _written(i: Instruction, config: DeviceConfig) -> Span:
    """What a command writes."""
    rows, columns = tiles(i.rows, config.lanes), tiles(i.columns, config.batch_lanes)
    if i.opcode == Opcode.LOSS:
        return _span(Region.DELTA, i.dest_base, (columns, i.dest_outer), (rows, 1))
    to_output = i.destination == Destination.OUTPUT
    region = Region.OUTPUT if to_output else Region.ACTIVATION
    if i.opcode == Opcode.BACKWARD:
        region = Region.DELTA
    return _span(region, i.dest_base, (columns, i.dest_outer), (rows, i.dest_inner))


def _span(region: Region, base: int, *walks: tuple[int, int]) -> Span:
    """Of tiles reached from `base` by so many steps of a stride each."""
    return Span(region, base, base + sum((count - 1) * stride for count, stride in walks) + 1)


def _joined(first: Instruction, second: Instruction, config: DeviceConfig) -> Instruction | None:
    """Both as one, where the second goes on with the batch tile after the first's last."""
    blocks, rest = divmod(first.columns, config.batch_lanes)
    if first.opcode not in FUSIBLE or rest:
        return None
    loss, backward = first.opcode == Opcode.LOSS, first.opcode == Opcode.BACKWARD
    following = {
        **vars(first),
        "columns": second.columns,
        "wait_array": second.wait_array,
        "wait_loss": second.wait_loss,
        "left_base": first.left_base + (blocks * first.left_depth if loss else 0),
        "right_base": first.right_base + blocks * first.right_outer,
        "dest_base": first.dest_base + blocks * first.dest_outer,
        "gate": first.gate + (blocks * first.dest_outer if backward else 0),
    }
    columns = first.columns + second.columns
    if following != vars(second) or columns >= 1 << FIELD_BITS:
        return None
    # As one, they would read before either has written.
    written = _written(first, config)
    if any(written.overlaps(span) for span in _reads(second, config)):
        return None
    return replace(first, columns=columns)
