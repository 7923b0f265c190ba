"""The device configuration: sizes and features of one build, validated once.

Everything that depends on a size reads it here; `hw.configurations` has those with a name.
"""

from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from hw.isa import (
    ARRAY_OPCODES,
    COUNTER_WORDS,
    INPUT_BUFFERS,
    INSTRUCTION_WORDS,
    SPIKING_OPCODES,
    Opcode,
    Region,
    Register,
)
from hw.numbers import SUM_BITS, WORD_BITS

Family = Literal["behavioural", "ice40", "ecp5", "gowin"]

PRODUCT_BITS = 31
"""|product of two words| <= 2**30, so a product and its sign need 32 bits less one."""

SPRAM_BLOCKS, SPRAM_WORDS = 4, 1 << 14
"""Single-port memories of an iCE40UP5K, and words of each. Lattice FPGA-DS-02008, table 2.1."""


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """Sizes and features of a device.

    Parameters
    ----------
    name: the configuration's name
    family: which vendor's multiplier the array instantiates
    lanes: L, words that a weight memory delivers in a cycle; rows of the MAC array
    batch_lanes: B <= L, samples that the array works on at once; columns of the MAC array
    accumulator_width: bits of an accumulator
    weight_tiles: L x L tiles of the WEIGHT memory, and of MOMENTUM where there is one
    input_tiles, target_tiles: B x L tiles of *each* of the two buffers
    activation_tiles, output_tiles, delta_tiles: B x L tiles
    program_length: instructions that the program memory holds
    max_outputs: widest layer that the loss unit takes
    momentum: whether there is a MOMENTUM memory; without it beta must be 0
    sigmoid: whether there is a sigmoid and tanh table
    dropout: whether FORWARD can drop outputs at random, or scale them by what is not dropped; it
        takes the multipliers of `sigmoid`
    cross_entropy: whether the loss unit can do softmax cross-entropy; on unless serial
    accumulation: whether there is a GRADIENT memory, which takes two words for each of WEIGHT, so
        that the gradients of several batches can be added and clipped before an update
    rate_width: significant bits of the mantissa of a rate, 8 to 16
    update_interval: cycles that the update unit takes for a vector of L weights; fewer than 3
        need more multipliers a lane (1: three, 3: one)
    epilogue_interval: cycles that the epilogue takes for a column of L accumulators, 1, 2
        or 4; its area is about inverse to it
    slope_blocks: whether the slopes of sigmoid and tanh come from multiplier blocks, one for every
        lane that the epilogue works on; otherwise from some 550 cells each
    serial: whether results leave the array one by one, through a single lane of each unit behind
        it, and units take turns at the memories: half the cells, and a fraction of the speed;
        without a supervised half, whether the spiking half is a processor, a synapse at a time
    weights_in_spram: whether the WEIGHT memory is in the large single-port memories of an iCE40
        UltraPlus, a bank each, whose words are undefined until written; simulation has a twin
    frame_payload: most payload bytes of a frame, a power of two
    supervised: whether there is an array, and what learns by backpropagation; without it none of
        the options, and no tiles but those of weights, inputs and targets
    state_rows: rows of L words of STATE, for populations of spiking neurons; 0: no spiking half
    event_words: words of EVENTS, a multiple of L; 0 without a spiking half
    expansion_inputs: most inputs that granule cells draw on, a power of two; 0: no granule cells
    """

    name: str
    family: Family = "behavioural"
    lanes: int
    batch_lanes: int
    accumulator_width: int = 40
    weight_tiles: int
    input_tiles: int
    target_tiles: int
    activation_tiles: int
    output_tiles: int
    delta_tiles: int
    program_length: int = 64
    max_outputs: int = 128
    momentum: bool = True
    sigmoid: bool = True
    cross_entropy: bool = True
    dropout: bool = False
    accumulation: bool = False
    rate_width: int = 16
    update_interval: Literal[1, 3] = 1
    epilogue_interval: int = 1
    slope_blocks: bool = True
    serial: bool = False
    weights_in_spram: bool = False
    frame_payload: int = 512
    supervised: bool = True
    state_rows: int = 0
    event_words: int = 0
    expansion_inputs: int = 0

    def __post_init__(self) -> None:
        checks: list[tuple[str, bool, str]] = [
            ("family", self.family in get_args(Family), f"one of {', '.join(get_args(Family))}"),
            ("lanes", _is_power_of_two(self.lanes) and 2 <= self.lanes <= 32, "2, 4, 8, 16 or 32"),
            (
                "batch_lanes",
                _is_power_of_two(self.batch_lanes) and 2 <= self.batch_lanes <= self.lanes,
                f"a power of two from 2 to lanes = {self.lanes}",
            ),
            ("accumulator_width", 33 <= self.accumulator_width <= 48, "from 33 to 48"),
            ("program_length", 8 <= self.program_length <= 4096, "from 8 to 4096"),
            ("max_outputs", 1 <= self.max_outputs <= 128, "from 1 to 128"),
            ("rate_width", 8 <= self.rate_width <= 16, "from 8 to 16"),
            ("update_interval", self.update_interval in (1, 3), "1 or 3"),
            (
                "epilogue_interval",
                self.epilogue_interval in (1, 2, 4) and self.epilogue_interval <= self.lanes,
                f"1, 2 or 4 and at most lanes = {self.lanes}",
            ),
            (
                "frame_payload",
                _is_power_of_two(self.frame_payload) and 64 <= self.frame_payload <= 4096,
                "a power of two from 64 to 4096",
            ),
        ]
        for field in fields(self):
            if field.name.endswith("_tiles"):
                tiles = getattr(self, field.name)
                if self.supervised or field.name not in SUPERVISED_TILES:
                    checks.append((field.name, 1 <= tiles <= 65535, "from 1 to 65535"))
                else:
                    checks.append((field.name, tiles == 0, "0 without a supervised half"))
        if self.serial:
            if self.supervised:
                checks.append(("rate_width", self.rate_width == 8, "8 in a serial device"))
            for name in OPTIONS:
                checks.append((name, not getattr(self, name), "off in a serial device"))
            for name in ("input_tiles", "target_tiles"):
                tiles = getattr(self, name)
                checks.append((name, _is_power_of_two(tiles), "a power of two in a serial device"))
        elif self.supervised:
            checks.append(("cross_entropy", self.cross_entropy, "on unless the device is serial"))
        if self.weights_in_spram:
            checks += self._spram_checks()
        checks += self._spiking_checks()
        checks.append(("dropout", self.sigmoid or not self.dropout, "off without sigmoid"))
        for name, holds, expected in checks:
            if not holds:
                raise ValueError(
                    f"{name} of configuration {self.name!r} must be {expected}, "
                    f"not {getattr(self, name)!r}"
                )

    def _spram_checks(self) -> list[tuple[str, bool, str]]:
        """What weights in SPRAM ask of the other fields."""
        most = SPRAM_WORDS // max(1, self.lanes)
        return [
            (
                "weights_in_spram",
                self.serial and self.supervised,
                "off unless the device is serial with a supervised half",
            ),
            (
                "family",
                self.family in ("ice40", "behavioural"),
                "ice40, or behavioural for its twin, with weights in SPRAM",
            ),
            (
                "lanes",
                self.lanes <= SPRAM_BLOCKS,
                f"at most {SPRAM_BLOCKS} with weights in SPRAM, a block each",
            ),
            ("weight_tiles", self.weight_tiles <= most, f"at most {most} with weights in SPRAM"),
        ]

    def _spiking_checks(self) -> list[tuple[str, bool, str]]:
        checks = [
            ("supervised", self.supervised or self.spiking, "on without a spiking half"),
            ("state_rows", 0 <= self.state_rows <= 65535, "from 0 to 65535"),
            (
                "state_rows",
                not (self.serial and self.supervised and self.spiking),
                "0 in a serial device with a supervised half",
            ),
            (
                "event_words",
                self.lanes <= self.event_words <= 65536 and self.event_words % self.lanes == 0
                if self.spiking
                else self.event_words == 0,
                f"a multiple of lanes = {self.lanes} up to 65536, 0 without a spiking half",
            ),
            (
                "expansion_inputs",
                self.expansion_inputs == 0
                or self.spiking
                and _is_power_of_two(self.expansion_inputs)
                and self.lanes <= self.expansion_inputs <= 4096,
                f"0, or with a spiking half a power of two from {self.lanes} to 4096",
            ),
        ]
        if not self.supervised:
            for name in OPTIONS:
                checks.append((name, not getattr(self, name), "off without a supervised half"))
        if self.serial and self.spiking:
            checks += [
                ("lanes", self.lanes == 2, "2 in a serial device with a spiking half"),
                ("expansion_inputs", self.expansion_inputs == 0, "0 in a serial device"),
            ]
        return checks

    @property
    def spiking(self) -> bool:
        """Whether there is a spiking half."""
        return self.state_rows > 0

    @property
    def max_depth(self) -> int:
        """Longest dot product that cannot overflow an accumulator.

        Each of K products is at most 2**30 in magnitude, and the epilogue adds a rounding
        constant of at most 2**30: (K + 1) * 2**30 <= 2**(accumulator_width - 1) - 1.
        """
        return (1 << (self.accumulator_width - PRODUCT_BITS)) - 2

    @property
    def processing_elements(self) -> int:
        """L * B, multiply-accumulates in a cycle."""
        return self.lanes * self.batch_lanes

    def with_family(self, family: Family) -> "DeviceConfig":
        """The same sizes with another family's multipliers."""
        return replace(self, family=family)


SUPERVISED_TILES = ("activation_tiles", "output_tiles", "delta_tiles")
"""Memories that backpropagation alone needs."""

OPTIONS = {
    "momentum": "momentum",
    "sigmoid": "sigmoid and tanh",
    "cross_entropy": "the softmax cross-entropy loss",
    "dropout": "dropout",
    "accumulation": "accumulated and clipped gradients",
}
"""Features that a configuration may leave out, by the name of their flag."""


def left_out(config: DeviceConfig) -> tuple[str, ...]:
    """What a device of this configuration cannot do and another can."""
    missing = [meaning for flag, meaning in OPTIONS.items() if not getattr(config, flag)]
    if not config.spiking:
        missing.append("spiking neurons")
    elif not config.expansion_inputs:
        missing.append("granule cells")
    if not config.supervised:
        one_by_one = ["vectors: neurons and synapses go one by one"] * config.serial
        return (*missing[len(OPTIONS) :], "backpropagation", *one_by_one)
    if config.rate_width < WORD_BITS:
        missing.append(f"bits of a rate's mantissa below the upper {config.rate_width}")
    if config.serial:
        missing.append("commands that overlap and units that work on whole vectors")
    return tuple(missing)


def region_tiles(config: DeviceConfig) -> dict[Region, int]:
    """Tiles of each tile memory of a device; INPUT and TARGET hold both buffers."""
    return {
        Region.WEIGHT: config.weight_tiles,
        Region.MOMENTUM: config.weight_tiles if config.momentum else 0,
        Region.INPUT: INPUT_BUFFERS * config.input_tiles,
        Region.TARGET: INPUT_BUFFERS * config.target_tiles,
        Region.ACTIVATION: config.activation_tiles,
        Region.OUTPUT: config.output_tiles,
        Region.DELTA: config.delta_tiles,
    }


def tile_rows(config: DeviceConfig, region: Region) -> int:
    """Rows of a tile: L outputs of weights, B samples of everything else."""
    weights = region in (Region.WEIGHT, Region.MOMENTUM)
    return config.lanes if weights else config.batch_lanes


def region_words(config: DeviceConfig) -> dict[Region, int]:
    """Words that the host can address in each region of a device."""
    tiles = {
        region: count * tile_rows(config, region) * config.lanes
        for region, count in region_tiles(config).items()
    }
    return {
        Region.REGISTERS: len(Register),
        Region.COUNTERS: COUNTER_WORDS,
        Region.PROGRAM: config.program_length * INSTRUCTION_WORDS,
        Region.LFSR: 2 * config.lanes,
        **tiles,
        Region.STATE: config.state_rows * config.lanes,
        Region.EVENTS: config.event_words,
        Region.GRADIENT: config.accumulation * (SUM_BITS // WORD_BITS) * tiles[Region.WEIGHT],
    }


def offered_opcodes(config: DeviceConfig) -> frozenset[Opcode]:
    """The commands that a device of this configuration knows."""
    missing: set[Opcode] = set()
    if not config.supervised:
        missing.update((*ARRAY_OPCODES, Opcode.LOSS, Opcode.RESPOND))
    if not config.spiking:
        missing.update(SPIKING_OPCODES)
    if not config.spiking and not config.accumulation:
        missing.add(Opcode.REPEAT)
    if not config.accumulation:
        missing.add(Opcode.CLIP)
    if not config.expansion_inputs:
        missing.add(Opcode.EXPAND)
    return frozenset(set(Opcode) - missing)
