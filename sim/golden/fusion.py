"""Commands that only cut one matrix into pieces, put together again.

A compiled program cuts the last layer into chunks, so that the array and the loss unit overlap:
F(0) F(1) L(0) F(2) L(1) L(2). Nobody can see the order of the pieces within a run, and the golden
model is faster on the whole: F(0..2) L(0..2). Single steps are never fused.
"""

from collections.abc import Iterable
from dataclasses import replace

from hw.config import DeviceConfig
from hw.isa import Destination, Instruction, Opcode
from hw.layout import tiles

FIELD_BITS = 16
"""Width of an instruction's lengths."""


def fuse(instructions: Iterable[Instruction], config: DeviceConfig) -> list[Instruction]:
    """Fewer instructions with the same effect as these array and LOSS commands in a row."""
    fused: list[Instruction] = []
    for piece in instructions:
        place = len(fused) - 1
        while place > 0 and _may_swap(fused[place], piece, config):
            place -= 1
        whole = _joined(fused[place], piece, config) if place >= 0 else None
        if whole is not None:
            fused[place] = whole
        else:
            fused.append(piece)
    return fused


def _may_swap(loss: Instruction, forward: Instruction, config: DeviceConfig) -> bool:
    """Whether a FORWARD after a LOSS could come before it: it writes behind what the LOSS reads."""
    if (loss.opcode, forward.opcode) != (Opcode.LOSS, Opcode.FORWARD):
        return False
    last = loss.right_base + (tiles(loss.columns, config.batch_lanes) - 1) * loss.right_outer
    end = last + tiles(loss.rows, config.lanes)
    return forward.destination == Destination.OUTPUT and end <= forward.dest_base


def _joined(first: Instruction, second: Instruction, config: DeviceConfig) -> Instruction | None:
    """Both as one, where the second goes on with the batch tile after the first's last."""
    loss = first.opcode == Opcode.LOSS
    # A FORWARD within ACTIVATION might read what its other half writes.
    to_output = first.opcode == Opcode.FORWARD and first.destination == Destination.OUTPUT
    blocks, rest = divmod(first.columns, config.batch_lanes)
    if not (loss or to_output) or rest:
        return None
    following = {
        **vars(first),
        "columns": second.columns,
        "wait_array": second.wait_array,
        "wait_loss": second.wait_loss,
        "left_base": first.left_base + (blocks * first.left_depth if loss else 0),
        "right_base": first.right_base + blocks * first.right_outer,
        "dest_base": first.dest_base + blocks * first.dest_outer,
    }
    columns = first.columns + second.columns
    if following != vars(second) or columns >= 1 << FIELD_BITS:
        return None
    return replace(first, columns=columns)
