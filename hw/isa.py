"""Commands, registers, memory regions and packets: the one place where they are declared.

The gateware decodes, the golden model executes, the compiler encodes and the documentation lists
what stands here.
"""

from dataclasses import dataclass, fields
from enum import IntEnum

VERSION = 2

# ---------------------------------------------------------------------------------------------
# Instructions


class Opcode(IntEnum):
    """What an instruction does."""

    END = 0
    """Wait until all units are idle, then stop."""
    LOOP = 1
    """Jump to the instruction `rows` while rounds remain: COUNT rounds in all, at least one."""
    ACQUIRE = 2
    """Wait until a buffer of `columns` samples is full; INPUT and TARGET read from it."""
    RELEASE = 3
    """Wait until no unit reads INPUT or TARGET, then hand the buffer back to the loader."""
    FORWARD = 4
    """Y = f(W X): columns of WEIGHT times columns of INPUT or ACTIVATION tiles (B samples of one
    feature), into ACTIVATION or OUTPUT."""
    BACKWARD = 5
    """dX = (W^T dY) * f'(X): rows of WEIGHT times columns of DELTA, gated by ACTIVATION, into
    DELTA."""
    GRADIENT = 6
    """dW = dY X^T, straight into the update of WEIGHT and MOMENTUM: rows of DELTA (L outputs of
    one sample) times rows of INPUT or ACTIVATION (B features of one sample). By GradientFlag, the
    sums of several batches are added in GRADIENT before."""
    LOSS = 7
    """Loss, correct answers and the output's DELTA from OUTPUT and TARGET."""
    REPEAT = 8
    """Jump to the instruction `rows` until it has been reached `columns` times: the time steps of a
    sample. `step` counts them from 0; it is 0 again when the jumps end, and when a program starts.
    """
    RESET = 9
    """Set to 0 the variables in `flags` of the population `dest_base` of `rows` neurons."""
    ENCODE = 10
    """A time step of `rows` inputs: spikes of the sample in front by the Encoding in `activation`,
    into the list `gate`, and their traces in the population `dest_base`."""
    EXPAND = 11
    """Granule cells: `rows` cells of `depth` inputs of +1 or -1 each, out of `columns`; those that
    reach their own threshold into the list `gate`, and ACTIVE or 0 into the vector `dest_base`."""
    INTEGRATE = 12
    """Add to the currents of the population `dest_base` of `rows` neurons the columns of WEIGHT
    that the list `gate` names."""
    FIRE = 13
    """A time step of a population of `rows` leaky integrate-and-fire neurons; spikes into the list
    `gate`."""
    CLIMB = 14
    """Climbing fibres: which of `rows` outputs are wrong about the class in TARGET, into the list
    `gate`, and by what sign, into the coefficients of the population `dest_base`."""
    PLASTICITY = 15
    """Change the columns (flag BY_ROW: the rows) of WEIGHT that the list `gate` names by a
    coefficient times the vector of traces at `right_base`. The list names none of them twice."""
    SCALE = 16
    """Synaptic scaling: bring the norm of the rows of WEIGHT, of all or of those in the list
    `gate`, to the same number."""
    RESPOND = 17
    """What `rows` leaky integrate-and-fire neurons make of a constant current in `depth` time
    steps, for `columns` samples: spikes and pseudo-derivatives, both in ACTIVATION."""
    CLIP = 18
    """The norm of the gradients that GRADIENT with the flag NORM has seen since the last CLIP, or
    since the program started, and the factor that the flag CLIP applies: the part of the norm that
    CLIP_THRESHOLD allows, at most 1. Counts in `statistic` whether it is less."""


SPIKING_OPCODES = tuple(Opcode(code) for code in range(Opcode.RESET, Opcode.RESPOND + 1))
"""Commands that have the device to themselves; one runs at a time."""

ARRAY_OPCODES = (Opcode.FORWARD, Opcode.BACKWARD, Opcode.GRADIENT)


class Activation(IntEnum):
    """What the epilogue applies (FORWARD) or whose derivative gates a delta (BACKWARD)."""

    LINEAR = 0
    RELU = 1
    LEAKY_RELU = 2
    SIGMOID = 3
    TANH = 4
    SURROGATE = 5
    """FORWARD: as linear; BACKWARD: the gate's words are the slopes themselves, in u0.15."""


class GradientFlag(IntEnum):
    """Bits of `flags` of GRADIENT, where devices accumulate gradients; 0: nothing is accumulated.

    S is the product, which HOLD and ADD saturate to 32 bits; g is S after the epilogue.
    """

    HOLD = 0
    """S goes into GRADIENT at `dest_base`; nothing is updated."""
    ADD = 1
    """S is the product and what stands there."""
    NORM = 2
    """With HOLD: the squares of g count for the norm that the next CLIP looks at."""
    CLIP = 3
    """S is what stands there, without a product; g is multiplied by the factor of the last CLIP of
    the program, 1 without one."""


class Loss(IntEnum):
    """What the LOSS command computes, in the instruction's `activation` field."""

    MEAN_SQUARED_ERROR = 0
    CROSS_ENTROPY = 1


class Source(IntEnum):
    """Memory of the right operand of FORWARD and GRADIENT."""

    INPUT = 0
    ACTIVATION = 1


class Destination(IntEnum):
    """Memory that FORWARD writes."""

    ACTIVATION = 0
    OUTPUT = 1


class DropoutFlag(IntEnum):
    """Bits of `flags` of FORWARD and BACKWARD, where there is dropout; the rate is `gate` / 256."""

    DROP = 0
    """FORWARD: a word is 0 where its lane's random byte is below `gate`, and one that is kept is
    not, but for ReLU and sigmoid: an LSB below 0 instead. BACKWARD: a delta is 0 where its word in
    ACTIVATION is."""
    SCALE = 1
    """FORWARD: words are multiplied by 1 - `gate` / 256."""


@dataclass(frozen=True)
class Field:
    """A bit field of an instruction: `width` bits from bit `low` of word `word`."""

    name: str
    word: int
    low: int
    width: int
    meaning: str


NO_WAIT = 3
"""Value of `wait_array` that waits for nothing."""

FIELDS = (
    Field("opcode", 0, 0, 6, "what to do"),
    Field("wait_array", 0, 6, 2, "start when at most so many array commands are open; 3: any"),
    Field("wait_loss", 0, 8, 1, "start when the loss unit is idle"),
    Field("activation", 0, 9, 3, "Activation; Loss of the LOSS command; Encoding of ENCODE"),
    Field("source", 0, 12, 1, "Source of the right operand"),
    Field("destination", 0, 13, 1, "Destination of FORWARD"),
    Field("use_momentum", 0, 14, 1, "GRADIENT: read and write MOMENTUM; otherwise v = g"),
    Field("class_target", 0, 15, 1, "LOSS: column 0 of TARGET is a class index, not a vector"),
    Field("shift", 1, 0, 6, "rounding right shift of the epilogue or of the loss unit's delta"),
    Field("leak_shift", 1, 6, 4, "leaky ReLU: slope 2**-leak_shift; leak of RESPOND; log2 of the "
          "rows of STATE from a word of a vector to the next"),
    Field("fraction", 1, 10, 4, "fraction bits of the activation, or of the output in LOSS"),
    Field("statistic", 2, 0, 6, "index of the first saturation counter"),
    Field("flags", 2, 6, 10, "a DropoutFlag or GradientFlag a bit; of a command of the spiking "
          "half; bit v for variable v in RESET"),
    Field("rows", 3, 0, 16, "valid length of the L axis; classes in LOSS; where LOOP jumps"),
    Field("columns", 4, 0, 16, "valid length of the B axis; samples in ACQUIRE and LOSS"),
    Field("depth", 5, 0, 16, "length of the dot products"),
    Field("left_base", 6, 0, 16, "first tile of the left operand; of TARGET in LOSS"),
    Field("left_inner", 7, 0, 16, "its tiles from one L-axis tile to the next"),
    Field("left_depth", 8, 0, 16, "its tiles from one depth tile to the next; of TARGET in LOSS"),
    Field("right_base", 9, 0, 16, "first tile of the right operand; of OUTPUT in LOSS"),
    Field("right_outer", 10, 0, 16, "its tiles from one B-axis tile to the next"),
    Field("right_depth", 11, 0, 16, "its tiles from one depth tile to the next"),
    Field("dest_base", 12, 0, 16, "first tile of the result"),
    Field("dest_outer", 13, 0, 16, "its tiles from one B-axis tile to the next"),
    Field("dest_inner", 14, 0, 16, "its tiles from one L-axis tile to the next"),
    Field("gate", 15, 0, 16, "BACKWARD: first tile of ACTIVATION, strided as the result; LOSS: r; "
          "FORWARD: rate of dropout; spiking: first word of a list in EVENTS; RESPOND: threshold"),
)

INSTRUCTION_WORDS = 16

WEIGHT_STATISTICS = ("gradient", "momentum", "weight")
"""GRADIENT counts these saturations in the counters `statistic`, + 1 and + 2, modulo 64."""


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction, a value for each of FIELDS; see there for their meaning.

    Raises ValueError when a field's value does not fit its width.
    """

    opcode: Opcode
    wait_array: int = NO_WAIT
    wait_loss: int = 0
    activation: int = 0
    source: int = 0
    destination: int = 0
    use_momentum: int = 0
    class_target: int = 0
    shift: int = 0
    leak_shift: int = 0
    fraction: int = 0
    statistic: int = 0
    flags: int = 0
    rows: int = 0
    columns: int = 0
    depth: int = 0
    left_base: int = 0
    left_inner: int = 0
    left_depth: int = 0
    right_base: int = 0
    right_outer: int = 0
    right_depth: int = 0
    dest_base: int = 0
    dest_outer: int = 0
    dest_inner: int = 0
    gate: int = 0

    def __post_init__(self) -> None:
        for f in FIELDS:
            value = getattr(self, f.name)
            if not 0 <= value < 1 << f.width:
                raise ValueError(
                    f"{f.name} of {Opcode(self.opcode).name} must be from 0 to "
                    f"{(1 << f.width) - 1}, not {value}"
                )

    def encode(self) -> list[int]:
        """The instruction's 16-bit words."""
        words = [0] * INSTRUCTION_WORDS
        for f in FIELDS:
            words[f.word] |= int(getattr(self, f.name)) << f.low
        return words

    @classmethod
    def decode(cls, words: list[int]) -> "Instruction":
        """The instruction in 16 words; ValueError on an unknown opcode."""
        values = {f.name: (int(words[f.word]) >> f.low) & ((1 << f.width) - 1) for f in FIELDS}
        return cls(opcode=Opcode(values.pop("opcode")), **values)


assert [f.name for f in FIELDS] == [f.name for f in fields(Instruction)]

# ---------------------------------------------------------------------------------------------
# Memory regions that the host addresses, word by word


class Region(IntEnum):
    """First byte of an address; the rest is a 24-bit word address in the region.

    Every region but REGISTERS and COUNTERS answers only while no program runs. Words of tile
    memories are 0 after configuration, but of WEIGHT in SPRAM, which are undefined until written.
    """

    REGISTERS = 0
    COUNTERS = 1
    PROGRAM = 2
    LFSR = 3
    WEIGHT = 4
    MOMENTUM = 5
    INPUT = 6
    TARGET = 7
    ACTIVATION = 8
    OUTPUT = 9
    DELTA = 10
    STATE = 11
    """Vectors of the spiking half, L words a row: populations, traces, parameters."""
    EVENTS = 12
    """Lists of spikes: how many, and then the number of every neuron."""
    GRADIENT = 13
    """Sums of products of 32 bits, a word pair, low word first, for each word of WEIGHT."""


MEMORY_REGIONS = tuple(Region(i) for i in range(Region.WEIGHT, Region.GRADIENT + 1))
"""What commands work on."""


class Register(IntEnum):
    """Word addresses of the writable registers, 16 bits each."""

    CONTROL = 0
    """Write a Control; reads as 0."""
    START = 1
    """Index of the first instruction."""
    COUNT = 2
    """Times that LOOP goes round."""
    MOMENTUM_FACTOR = 3
    """beta in u0.16."""
    RATE = 4
    """Mantissa of the learning rate in u0.16: eta = RATE * 2**-(16 + RATE_SHIFT)."""
    RATE_SHIFT = 5
    """0 to 15."""
    DECAY = 6
    """Mantissa of eta * lambda, read as the learning rate is."""
    DECAY_SHIFT = 7
    """0 to 15."""
    FEATURES = 8
    """Words of input that the loader takes for a sample."""
    TARGETS = 9
    """Words of target for a sample."""
    SAMPLE_FORMAT = 10
    """A SampleFormat, and the left shift of 8-bit inputs in bits 4 to 7."""
    INPUT_STRIDE = 11
    """Tiles from one batch tile of INPUT to the next."""
    TARGET_STRIDE = 12
    """Tiles from one batch tile of TARGET to the next."""
    CLIP_THRESHOLD = 13
    """Largest norm that CLIP lets gradients have, unsigned, in units of a momentum's LSB."""


class Control(IntEnum):
    """What a write to CONTROL does."""

    RUN = 1
    """Run the program from START."""
    STEP = 2
    """Run one instruction from START, or the next one of a program that is halted."""
    STOP = 3
    """Stop at the next instruction, forget all buffered samples, clear the error."""
    CLEAR = 4
    """Set every counter to 0; only while no program runs."""


class SampleFormat(IntEnum):
    """Bits of SAMPLE_FORMAT."""

    WIDE_INPUT = 0
    """Inputs are 16-bit little-endian words; otherwise bytes."""
    WIDE_TARGET = 1
    """Targets are 16-bit little-endian words; otherwise unsigned bytes."""
    SIGNED_INPUT = 2
    """8-bit inputs are two's complement."""


SAMPLE_SHIFT_LOW = 4
"""First of the four bits of SAMPLE_FORMAT that hold the left shift of 8-bit inputs."""


@dataclass(frozen=True)
class Counter:
    """A read-only number of `words` 16-bit words, little-endian, from word `address`."""

    name: str
    address: int
    words: int
    meaning: str
    clock: bool = False
    """Whether it counts clock cycles, which the golden model does not know."""


SATURATION_COUNTERS = 64


def _counters() -> tuple[Counter, ...]:
    rows = (
        ("state", 1, "a State"),
        ("error", 1, "an Error"),
        ("position", 1, "index of the instruction that runs, or comes next when halted"),
        ("remaining", 1, "rounds that LOOP still has to go"),
        ("cycles", 4, "clock cycles in which a program ran"),
        ("waiting", 4, "of these, cycles in which ACQUIRE waited for samples"),
        ("busy", 4, "of these, cycles in which the array took operands"),
        ("samples", 4, "samples that LOSS has seen"),
        ("correct", 4, "of these, samples whose largest output was their class"),
        ("loss", 4, "sum of the loss; see the LOSS command for its binary point"),
        ("norm", 4, "sum of the norms that CLIP found, with the binary point of a gradient"),
    )
    counters, address = [], 0
    for name, words, meaning in rows:
        clock = name in ("cycles", "waiting")
        counters.append(Counter(name, address, words, meaning, clock))
        address += words
    counters.append(
        Counter("saturations", 32, 2 * SATURATION_COUNTERS, "64 counters of 32 bits, by statistic")
    )
    return tuple(counters)


COUNTERS = {counter.name: counter for counter in _counters()}
COUNTER_WORDS = 32 + 2 * SATURATION_COUNTERS


class State(IntEnum):
    """What the sequencer is doing."""

    IDLE = 0
    RUNNING = 1
    HALTED = 2
    FAILED = 3


class Error(IntEnum):
    """Why a program has failed."""

    NONE = 0
    UNKNOWN_OPCODE = 1
    PROGRAM_END = 2
    """The program ran past the end of the program memory."""
    BATCH_SIZE = 3
    """ACQUIRE expected another number of samples than the host sent."""


# ---------------------------------------------------------------------------------------------
# Frames on the byte link

REQUEST_START = 0xA5
RESPONSE_START = 0x5A


class Request(IntEnum):
    """Kind of a frame to the device.

    A frame is: start byte, sequence number, kind, length of the payload (16 bits), payload,
    CRC-32 (zlib's) over sequence number to payload. Numbers are little-endian.
    """

    IDENTIFY = 1
    """No payload; the answer is an identity."""
    READ = 2
    """Address (24 bits of word address, then the region), count of words (16 bits)."""
    WRITE = 3
    """Address, then words."""
    SAMPLES = 4
    """Bytes of the batch that is being loaded."""
    SAMPLES_END = 5
    """The last bytes of a batch."""
    SYNCHRONISE = 6
    """No payload; accepted with any sequence number, which becomes the last one seen."""


class Status(IntEnum):
    """How the device answers a request.

    An answer is: start byte, sequence number of the request, status, state, length of the payload
    (16 bits), payload, CRC-32 over sequence number to payload. The state byte holds a State in
    bits 0 to 3 and the credits (empty sample buffers) in bits 4 to 7.
    """

    OK = 0
    BAD_REQUEST = 1
    """Unknown kind or a length that does not fit it; nothing was changed."""
    BAD_ADDRESS = 2
    """The region does not exist or ends before the address does; nothing was changed."""
    BUSY = 3
    """A program runs and the region answers only while none does; nothing was changed."""
    BAD_SEQUENCE = 4
    """The sequence number is not the next one; the payload holds the last one seen (1 byte)."""
    BAD_CHECKSUM = 5
    """The checksum is wrong; the frame was dropped; the sequence number may be wrong too."""
    NO_CREDIT = 6
    """Samples came while both buffers were full, or more than a buffer holds; dropped."""


ADDRESS_BYTES = 4
FRAME_HEADER_BYTES = 5
ANSWER_HEADER_BYTES = 6
CHECKSUM_BYTES = 4
INPUT_BUFFERS = 2


IDENTITY_BYTES = 16
"""An identity is the build's hash, 16 bytes."""
