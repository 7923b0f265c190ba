"""An instruction as a line that a person can read."""

from hw.isa import (
    NO_WAIT,
    Activation,
    Destination,
    DropoutFlag,
    GradientFlag,
    Instruction,
    Loss,
    Opcode,
    Source,
)


def describe(i: Instruction) -> str:
    """The instruction: shape, operands as MEMORY base+stride, what is done to the result, waits.

    Strides of an operand are separated by commas: inner or outer first, then depth.
    """
    opcode = Opcode(i.opcode)
    match opcode:
        case Opcode.ACQUIRE:
            text = f"{i.columns} samples"
        case Opcode.LOOP:
            text = f"to {i.rows}"
        case Opcode.FORWARD:
            text = (
                f"{Destination(i.destination).name} {_result(i)} = "
                f"{_activation(i)}(WEIGHT {_left(i)} x {Source(i.source).name} {_right(i)})"
                f"{_dropout(i)}"
            )
        case Opcode.BACKWARD:
            text = (
                f"DELTA {_result(i)} = WEIGHT^T {_left(i)} x DELTA {_right(i)} "
                f"* {_activation(i)}'(ACTIVATION {i.gate})"
                f"{' or 0 where that is 0' if i.flags >> DropoutFlag.DROP & 1 else ''}"
            )
        case Opcode.RESPOND:
            text = (
                f"ACTIVATION {i.dest_base}+{i.dest_outer} << {i.shift}, slopes {i.left_base} "
                f"<< {i.fraction} = spikes of ACTIVATION {i.right_base}+{i.right_outer} in "
                f"{i.depth} steps, leak 2**-{i.leak_shift}, threshold {i.gate}"
            )
        case Opcode.GRADIENT:
            text = _gradient(i)
        case Opcode.REPEAT:
            text = f"to {i.rows}, {i.columns} times in all"
        case Opcode.CLIP:
            text = f"; statistic {i.statistic}"
        case Opcode.LOSS:
            kind = "class" if i.class_target else "vector"
            text = (
                f"DELTA {i.dest_base}+{i.dest_outer} = {Loss(i.activation).name.lower()}"
                f"(OUTPUT {i.right_base}+{i.right_outer}, {kind} TARGET "
                f"{i.left_base}+{i.left_depth}) * {i.gate}/32768"
            )
        case _:
            text = ""
    return f"{opcode.name:<9}{_shape(i)}{text}{_ending(i)}".rstrip()


def _gradient(i: Instruction) -> str:
    """What is updated, or held, with what."""
    flags = {flag for flag in GradientFlag if i.flags >> flag & 1}
    memories = "WEIGHT and MOMENTUM" if i.use_momentum else "WEIGHT"
    if GradientFlag.HOLD in flags:
        memories = "GRADIENT"
    product = f"DELTA {_left(i)} x {Source(i.source).name}^T {_right(i)}"
    if GradientFlag.CLIP in flags:
        product = "clipped GRADIENT"
    elif GradientFlag.ADD in flags:
        product = f"GRADIENT + {product}"
    normed = ", and its norm" if GradientFlag.NORM in flags else ""
    return f"{memories} {_result(i)} <- {product}{normed}"


def _shape(i: Instruction) -> str:
    if i.opcode in (Opcode.LOSS, Opcode.RESPOND):
        return f"{f'{i.rows} x {i.columns}':<16}"
    if i.opcode in (Opcode.FORWARD, Opcode.BACKWARD, Opcode.GRADIENT):
        return f"{f'{i.rows} x {i.columns} ({i.depth})':<16}"
    return ""


def _ending(i: Instruction) -> str:
    if i.opcode not in (Opcode.FORWARD, Opcode.BACKWARD, Opcode.GRADIENT, Opcode.LOSS):
        return ""
    waits = []
    if i.wait_array != NO_WAIT:
        waits.append(f"array <= {i.wait_array}")
    if i.wait_loss:
        waits.append("loss idle")
    after = f"; after {', '.join(waits)}" if waits else ""
    return f" >> {i.shift}; statistic {i.statistic}{after}"


def _activation(i: Instruction) -> str:
    kind = Activation(i.activation)
    slope = f"[2**-{i.leak_shift}]" if kind == Activation.LEAKY_RELU else ""
    return f"{kind.name.lower()}{slope}"


def _dropout(i: Instruction) -> str:
    text = f" * {256 - i.gate}/256" if i.flags >> DropoutFlag.SCALE & 1 else ""
    return text + (f", dropped by {i.gate}/256" if i.flags >> DropoutFlag.DROP & 1 else "")


def _left(i: Instruction) -> str:
    return f"{i.left_base}+{i.left_inner},{i.left_depth}"


def _right(i: Instruction) -> str:
    return f"{i.right_base}+{i.right_outer},{i.right_depth}"


def _result(i: Instruction) -> str:
    return f"{i.dest_base}+{i.dest_outer},{i.dest_inner}"
