"""The layout of an instruction's bits, for the gateware; its fields are declared in `hw.isa`."""

from amaranth.lib import data

from hw.config import DeviceConfig, region_tiles
from hw.isa import FIELDS, INSTRUCTION_WORDS, DropoutFlag, GradientFlag, Region
from hw.numbers import WORD_BITS

INSTRUCTION = data.FlexibleLayout(
    INSTRUCTION_WORDS * WORD_BITS,
    {f.name: data.Field(f.width, f.word * WORD_BITS + f.low) for f in FIELDS},
)

LENGTHS = ("rows", "columns", "depth")
STRIDES = (
    *("left_inner", "left_depth", "right_outer", "right_depth"),
    *("dest_outer", "dest_inner"),
)
SAMPLE_TILES = ("right_base",)
"""Of an operand that is never a matrix of weights."""
TILES = ("left_base", "dest_base", *SAMPLE_TILES, *STRIDES)


def used_bits(config: DeviceConfig) -> dict[str, int]:
    """How many of a field's bits, from the lowest, a device of this configuration looks at.

    A length is at most `max_depth`: every one of a network is that of some dot product; or it is
    that of a vector in STATE, or the steps of a REPEAT. A tile is one of the largest memory's, or a
    row of STATE. With weights in SPRAM, which is far larger than the other memories, a stride is
    at most the tiles of such a length, and a sample's tile one of another memory's. The bits above
    are taken for 0.
    """
    longest = max(config.max_depth, config.max_outputs)
    length = max(longest, config.program_length).bit_length()
    if config.spiking:
        length = WORD_BITS
    tiles = region_tiles(config)
    tile = (max(config.state_rows, *tiles.values()) - 1).bit_length()
    flags = {}
    if not config.spiking:
        used = (DropoutFlag, config.dropout), (GradientFlag, config.accumulation)
        flags = {"flags": max(len(bits) if there else 0 for bits, there in used)}
    narrow = {**flags, **dict.fromkeys(LENGTHS, length), **dict.fromkeys(TILES, max(tile, 1))}
    if config.weights_in_spram:
        samples = max(count for region, count in tiles.items() if region != Region.WEIGHT)
        narrow |= dict.fromkeys(STRIDES, (-(-longest // config.lanes)).bit_length())
        narrow |= dict.fromkeys(SAMPLE_TILES, max(1, (samples - 1).bit_length()))
    return {f.name: min(f.width, narrow.get(f.name, f.width)) for f in FIELDS}
