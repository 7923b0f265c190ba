"""The microcode of a serial spiking device: each of its commands, neuron by neuron, step by step.

    command --> entry --> for each neuron of a population, or for each spike of a list and each of
                          its synapses: words of STATE, EVENTS, WEIGHT and INPUT --> sum --> words

`sim.golden.spiking` is the arithmetic. A variable of a neuron is `variable` rows behind its first.
"""

from collections.abc import Callable
from enum import IntEnum

from amaranth.utils import exact_log2

from hw.isa import Opcode
from hw.microcode import (
    PRODUCT_STEPS,
    Assembler,
    Base,
    Condition,
    Effect,
    Field,
    Operand,
    Operation,
    Place,
    flag,
)
from hw.numbers import WORD_MIN
from hw.spiking import (
    POPULATION_ROWS,
    ClimbingParameter,
    EncodeFlag,
    EncoderParameter,
    FireFlag,
    NeuronParameter,
    PlasticityFlag,
    ScaleFlag,
    SynapseParameter,
    Variable,
)

COMMANDS = (
    *(Opcode.RESET, Opcode.ENCODE, Opcode.INTEGRATE),
    *(Opcode.FIRE, Opcode.CLIMB, Opcode.PLASTICITY, Opcode.SCALE),
)
"""Commands that there is microcode for."""

ENTRY_BITS = 4
"""Bits of an opcode, from the lowest, that are the number of the step it begins with."""


class Scratch(IntEnum):
    """Words of memory that the microcode has to itself, and in the end its constants."""

    INDEX = 0
    """The neuron's number."""
    SPIKES = 1
    """How many the list holds."""
    WORK = 2
    MOVED = 3
    """The neuron's new potential."""
    BEST_MOVED = 4
    BEST_OWN = 5
    """The potential and the own threshold of the neuron that is furthest above its own."""
    WINNER = 6
    """Its number; -1: there is none."""
    SATURATIONS = 7
    INNER = 8
    """L tiles of a row of tiles of weights."""
    STRIDE = 9
    """L tiles from a line's tile of weights to the next."""
    SPACING = 10
    """L words from the last trace of a row to the first of the next."""
    COEFFICIENT = 11
    REMAINING = 12
    """Lines that are still to come."""
    SPIKE = 13
    """-32768: less a spike of Encoding.RATE."""
    LANES = 14
    """L."""
    ROW = 15
    """L * L: L words."""
    RECORD = 16
    """What a record is longer than a word less L: (POPULATION_ROWS - 1) L."""


SCRATCH_WORDS = 32


def constants(lanes: int) -> dict[Scratch, int]:
    """The words of Scratch that never change."""
    return {
        Scratch.SPIKE: WORD_MIN,
        Scratch.LANES: lanes,
        Scratch.ROW: lanes * lanes,
        Scratch.RECORD: (POPULATION_ROWS - 1) * lanes,
    }


KEEP, LOAD, ADD, SUBTRACT, HALVE, DROP, LIMIT, CLEAR = Operation
WORD, WORD_HIGH, PRODUCT, PRODUCT_HIGH, RANDOM = list(Operand)[: Operand.FIELD]
HALF, ONE = Operand.HALF, Operand.ONE


def microcode(lanes: int) -> list[int]:
    """The words of the microcode, from step 0 on, for L lanes."""
    asm = Assembler(first=1 << ENTRY_BITS)
    writer = _Writer(asm, lanes)
    writer.shared()
    for opcode in COMMANDS:
        asm.entry(opcode % (1 << ENTRY_BITS), opcode.name)
        asm.label(opcode.name)
        getattr(writer, opcode.name.lower())()
    return asm.words()


def _scratch(which: Scratch) -> Place:
    return Place(Base.SCRATCH, which)


def _parameter(which: IntEnum) -> Place:
    return Place(Base.PARAMETERS, which)


LIST = Place(Base.LIST)
NEXT_EVENT = Place(Base.EVENT, 1)
ELEMENT = Place(Base.TILE, tile=True)
"""The element of the tile at the lanes."""


class _Writer:
    """Writes the commands; a method each, and one for what they share."""

    def __init__(self, asm: Assembler, lanes: int):
        self._step: Callable[..., None] = asm.step
        self._label = asm.label
        self._lanes = lanes
        self._lane_bits = exact_log2(lanes)

    def _of(self, variable: Variable) -> Place:
        """A variable of the neuron."""
        return Place(Base.NEURON, variable * self._lanes)

    def _times_lanes(self) -> None:
        """The sum times L, which is in Scratch.WORK then, as is the word that was read."""
        step, work = self._step, _scratch(Scratch.WORK)
        step(write=work)
        for _ in range(self._lanes - 1):
            step(read=work)
            step(ADD, WORD)
        step(write=work)
        step(read=work)
        step()

    def _wait(self, steps: int) -> None:
        for _ in range(steps):
            self._step()

    # What commands share

    def shared(self) -> None:
        """Routines."""
        step, label = self._step, self._label
        # From the first neuron on, with an empty list.
        label("begin")
        step(CLEAR, aim=Place(Base.POPULATION), save=Base.NEURON)
        step(write=_scratch(Scratch.INDEX))
        step(write=_scratch(Scratch.SPIKES))
        step(aim=LIST, save=Base.EVENT, back=True)

        # To the next neuron; the sum is negative if there is one in this tile, or another tile.
        label("next")
        step(read=_scratch(Scratch.INDEX))
        step(LOAD, WORD)
        step(ADD, ONE)
        step(SUBTRACT, Field.ROWS, write=_scratch(Scratch.INDEX))
        step(when=Condition.LAST, to="next tile")
        step(CLEAR, aim=Place(Base.NEURON, 1), save=Base.NEURON, effect=Effect.LANE)
        step(SUBTRACT, ONE, back=True)
        label("next tile")
        record = POPULATION_ROWS * self._lanes - (self._lanes - 1)
        step(
            aim=Place(Base.NEURON, record), save=Base.NEURON, effect=Effect.WRAP, back=True
        )

        # The product of the factor and the sum that was there in the step before the first.
        label("multiply")
        self._wait(PRODUCT_STEPS - 1)
        step(LOAD, PRODUCT, back=True)

        # x (1 + decay): the word that was read is x, as is the factor; the sum is the decay.
        label("decay")
        self._wait(PRODUCT_STEPS - 1)
        step(LOAD, PRODUCT_HIGH)
        step(ADD, WORD, back=True)

        # Whether the neuron is one, if the sum is negative.
        label("within")
        step(read=_scratch(Scratch.INDEX))
        step(LOAD, WORD)
        step(SUBTRACT, Field.ROWS, back=True)

        # A spike of the neuron into the list, and its count; or the neuron into the list.
        label("record")
        step(unless=Condition.SPIKE, back=True)
        label("list")
        step(read=_scratch(Scratch.SPIKES))
        step(LOAD, WORD, read=_scratch(Scratch.INDEX))
        step(ADD, ONE)
        step(LOAD, WORD, write=_scratch(Scratch.SPIKES))
        step(write=NEXT_EVENT, save=Base.EVENT)
        step(unless=Condition.SPIKE, back=True)
        step(read=self._of(Variable.COUNT))
        step(LOAD, WORD)
        step(ADD, ONE)
        step(LIMIT)
        step(write=self._of(Variable.COUNT))
        step(back=True)

        # To the first tile of the row of weights that was read, which is fixed from now on.
        label("row")
        step(LOAD, WORD)
        step(effect=Effect.FIX, read=_scratch(Scratch.INNER))
        step(effect=Effect.FACTOR)
        for _ in range(self._lane_bits):
            step(HALVE)
        self._wait(PRODUCT_STEPS - 1)
        step(LOAD, PRODUCT)
        step(write=_scratch(Scratch.WORK))
        step(read=_scratch(Scratch.WORK))
        step()
        step(aim=Place(Base.TILES, word=True), save=Base.TILE, back=True)

        # At least the lower limit, which was read, then at most the upper one.
        label("clamp")
        step(SUBTRACT, WORD)
        step(when=Condition.NEGATIVE, to="clamp low")
        step(ADD, WORD, to="clamp upper")
        label("clamp low")
        step(LOAD, WORD)
        label("clamp upper")
        step(read=_parameter(SynapseParameter.UPPER))
        step(SUBTRACT, WORD)
        step(unless=Condition.NEGATIVE, to="clamp high")
        step(ADD, WORD, back=True)
        label("clamp high")
        step(LOAD, WORD, back=True)

        # The end of a command with a list.
        label("finish")
        step(read=_scratch(Scratch.SPIKES))
        step(LOAD, WORD)
        step(write=LIST, effect=Effect.DONE)

    def _decayed(self, variable: Variable, decay: IntEnum) -> None:
        step = self._step
        step(read=self._of(variable))
        step(effect=Effect.FACTOR, read=_parameter(decay))
        step(LOAD, WORD, read=self._of(variable), call="decay")

    def _trace(self, name: str, decay: IntEnum, increment: Place, sets: int) -> None:
        """The trace decayed; a spike adds the increment, or sets it."""
        step = self._step
        self._decayed(Variable.TRACE, decay)
        step(unless=Condition.SPIKE, to=f"{name} trace", read=increment)
        step(when=flag(sets), to=f"{name} sets")
        step(ADD, WORD)
        step(LIMIT, to=f"{name} trace")
        self._label(f"{name} sets")
        step(LOAD, WORD)
        self._label(f"{name} trace")
        step(write=self._of(Variable.TRACE))

    # Commands

    def reset(self) -> None:
        step = self._step
        step(call="begin")
        self._label("reset neuron")
        step(CLEAR)
        for variable in Variable:
            # A step that goes elsewhere writes nothing: here it is the next one.
            step(write=self._of(variable), unless=variable, to=f"reset {variable.name}")
            self._label(f"reset {variable.name}")
        step(call="next")
        step(when=Condition.NEGATIVE, to="reset neuron")
        step(effect=Effect.DONE)

    def encode(self) -> None:
        step, label = self._step, self._label
        work = _scratch(Scratch.WORK)
        # The row of the sample is fixed, columns are the lanes.
        step(CLEAR, effect=Effect.MODE_ON)
        step(effect=Effect.FIX, aim=Place(Base.TILES), save=Base.TILE)
        step(unless=flag(EncodeFlag.EACH_STEP), to="encode first")
        step(LOAD, Field.STRIDE)
        step(LOAD, Field.STEP, write=work)
        step(effect=Effect.FIX, read=work)
        step(effect=Effect.FACTOR)
        for _ in range(self._lane_bits - 1):
            step(HALVE)
        step(HALVE, call="multiply")
        step(write=work)
        step(read=work)
        step()
        step(aim=Place(Base.TILE, word=True), save=Base.TILE)
        label("encode first")
        step(call="begin")

        label("encode input")
        step(read=ELEMENT, effect=Effect.SPIKE_ON)
        step(LOAD, WORD)
        step(SUBTRACT, ONE, read=_parameter(EncoderParameter.GAIN))
        step(unless=Condition.NEGATIVE, to="encode above")
        step(effect=Effect.SPIKE_OFF)
        label("encode above")
        step(effect=Effect.FACTOR, read=ELEMENT)
        step(LOAD, WORD, call="multiply")
        step(effect=Effect.COUNT_SHIFT)
        step(when=Condition.COUNTED, to="encode shifted", effect=Effect.COUNT_DOWN)
        label("encode shift")
        step(HALVE, unless=Condition.COUNTED, to="encode shift", effect=Effect.COUNT_DOWN)
        label("encode shifted")
        step(when=Condition.ENCODING_1, to="encode late")
        # A rate below 0 is 0.
        step(unless=Condition.NEGATIVE, to="encode rate")
        step(CLEAR)
        label("encode rate")
        step(LIMIT, effect=Effect.SPIKE_OFF)
        step(when=Condition.ENCODING_0, to="encode poisson")
        step(read=self._of(Variable.POTENTIAL))
        step(ADD, WORD, read=_scratch(Scratch.SPIKE))
        step(ADD, WORD)
        step(unless=Condition.NEGATIVE, to="encode due")
        step(SUBTRACT, WORD)
        step(unless=Condition.NEGATIVE, to="encode not due")
        step(SUBTRACT, WORD)
        label("encode not due")
        step(write=self._of(Variable.POTENTIAL))
        step(to="encode within")
        label("encode due")
        step(write=self._of(Variable.POTENTIAL))
        step(effect=Effect.SPIKE_ON, to="encode within")
        label("encode poisson")
        step(write=work)
        step(LOAD, RANDOM, read=work)
        step(SUBTRACT, WORD)
        step(SUBTRACT, WORD)
        step(unless=Condition.NEGATIVE, to="encode within")
        step(effect=Effect.SPIKE_ON, to="encode within")

        # Latency: since = step + min(r - last step, 0)
        label("encode late")
        step(when=Condition.ENCODING_0, to="encode within")
        step(ADD, HALF, read=_parameter(EncoderParameter.LAST_STEP))
        step(LIMIT)
        step(SUBTRACT, WORD)
        step(when=Condition.NEGATIVE, to="encode since")
        step(CLEAR)
        label("encode since")
        step(ADD, Field.STEP, read=self._of(Variable.TRACE))
        step(unless=Condition.SPIKE, to="encode silent")
        step(when=Condition.NEGATIVE, to="encode silent")
        step(SUBTRACT, ONE)
        step(when=Condition.NEGATIVE, to="encode now")
        step(LOAD, WORD, read=_parameter(EncoderParameter.TRACE_INCREMENT))
        step(ADD, WORD, effect=Effect.SPIKE_OFF)
        step(LIMIT, to="encode ramp")
        label("encode silent")
        step(effect=Effect.SPIKE_OFF)
        label("encode now")
        step(CLEAR)
        label("encode ramp")
        step(write=self._of(Variable.TRACE))

        label("encode within")
        step(call="within")
        step(when=Condition.NEGATIVE, to="encode there")
        step(effect=Effect.SPIKE_OFF)
        label("encode there")
        step(unless=Condition.ENCODING_1, to="encode decays")
        step(unless=Condition.ENCODING_0, to="encode count")
        label("encode decays")
        self._trace(
            "encode",
            EncoderParameter.TRACE_DECAY,
            _parameter(EncoderParameter.TRACE_INCREMENT),
            EncodeFlag.SET_TRACE,
        )
        label("encode count")
        step(call="record")
        step(call="next")
        step(unless=Condition.FIRST, to="encode input")
        step(aim=Place(Base.TILE, 1), save=Base.TILE, when=Condition.ENCODING_1, to="encode last")
        step(unless=Condition.ENCODING_0, to="encode last")
        step(effect=Effect.RANDOM_STEP)
        label("encode last")
        step(when=Condition.NEGATIVE, to="encode input")
        step(to="finish")

    def integrate(self) -> None:
        step, label = self._step, self._label
        saturations = _scratch(Scratch.SATURATIONS)
        step(read=LIST)
        step(LOAD, WORD)
        step(SUBTRACT, ONE)
        step(LOAD, Field.STRIDE, when=Condition.NEGATIVE, to="integrated")
        step(write=_scratch(Scratch.STRIDE))
        step(aim=Place(Base.TILES), save=Base.TILE, call="begin")
        step(write=saturations)

        label("integrate neuron")
        step(read=LIST, save=Base.EVENT)
        step(LOAD, WORD)
        step(SUBTRACT, ONE, read=NEXT_EVENT, save=Base.EVENT)
        step(CLEAR, effect=Effect.COUNT)
        label("integrate synapse")
        step(
            read=Place(Base.TILE, word=True, tile=True),
            when=Condition.COUNTED,
            to="integrate last",
            effect=Effect.SYNAPSE,
        )
        step(ADD, WORD, read=NEXT_EVENT, save=Base.EVENT, effect=Effect.COUNT_DOWN)
        step(to="integrate synapse")
        label("integrate last")
        step(ADD, WORD, effect=Effect.COUNT_SHIFT)
        step(when=Condition.COUNTED, to="integrate shifted", effect=Effect.COUNT_DOWN)
        label("integrate shift")
        step(HALVE, unless=Condition.COUNTED, to="integrate shift", effect=Effect.COUNT_DOWN)
        step(ADD, HALF)
        label("integrate shifted")
        step(read=self._of(Variable.CURRENT))
        step(ADD, WORD)
        step()
        step(LIMIT, when=Condition.OVER, to="integrate over")
        step(write=self._of(Variable.CURRENT))
        label("integrate next")
        step(call="next")
        step(unless=Condition.FIRST, to="integrate neuron", read=_scratch(Scratch.STRIDE))
        step()
        step(aim=Place(Base.TILE, word=True), save=Base.TILE)
        step(when=Condition.NEGATIVE, to="integrate neuron")
        step(read=saturations)
        step(LOAD, WORD)
        step(effect=Effect.REPORT)
        label("integrated")
        step(effect=Effect.DONE)

        label("integrate over")
        step(write=self._of(Variable.CURRENT))
        step(call="within")
        step(unless=Condition.NEGATIVE, to="integrate next", read=saturations)
        step(LOAD, WORD)
        step(ADD, ONE)
        step(write=saturations)
        step(to="integrate next")

    def fire(self) -> None:
        step, label = self._step, self._label
        index, moved, winner = map(_scratch, (Scratch.INDEX, Scratch.MOVED, Scratch.WINNER))
        potential, own = self._of(Variable.POTENTIAL), self._of(Variable.THRESHOLD)
        step(call="begin")
        step(SUBTRACT, ONE)
        step(write=winner)
        step(unless=flag(FireFlag.APPEND), to="fire anew", read=LIST)
        step(LOAD, WORD)
        step(write=_scratch(Scratch.SPIKES))
        self._times_lanes()
        step(aim=Place(Base.LIST, word=True), save=Base.EVENT)
        label("fire anew")
        step(when=flag(FireFlag.WINNER), to="fire neuron", effect=Effect.MODE_OFF)
        step(when=flag(FireFlag.INHIBIT), to="fire neuron")
        label("fire for good")
        step(effect=Effect.MODE_ON)

        label("fire neuron")
        step(read=self._of(Variable.REFRACTORY), effect=Effect.SPIKE_OFF)
        step(LOAD, WORD)
        step(SUBTRACT, ONE, read=potential)
        step(unless=Condition.NEGATIVE, to="fire rests")
        step(effect=Effect.FACTOR, read=_parameter(NeuronParameter.LEAK))
        step(LOAD, WORD, read=potential, call="decay")
        step(read=self._of(Variable.CURRENT), effect=Effect.SPIKE_ON)
        step(ADD, WORD)
        step(LIMIT, to="fire moved")
        label("fire rests")
        step(LOAD, WORD)
        label("fire moved")
        step(write=moved)
        step(unless=Condition.SPIKE, to="fire told", read=own)
        step(SUBTRACT, WORD, read=_parameter(NeuronParameter.THRESHOLD))
        step(SUBTRACT, WORD)
        step(when=Condition.NEGATIVE, to="fire silent")
        step(call="within")
        step(unless=Condition.NEGATIVE, to="fire silent")
        step(unless=Condition.MODE, to="fire candidate")
        step(unless=flag(FireFlag.WINNER), to="fire told", read=index)
        step(LOAD, WORD, read=winner)
        step(SUBTRACT, WORD)
        step(when=Condition.NEGATIVE, to="fire silent")
        step(SUBTRACT, ONE)
        step(when=Condition.NEGATIVE, to="fire told")
        label("fire silent")
        step(effect=Effect.SPIKE_OFF)
        label("fire told")
        step(when=Condition.MODE, to="fire write")
        label("fire next")
        step(call="next")
        step(when=Condition.NEGATIVE, to="fire neuron")
        step(when=Condition.MODE, to="finish")
        step(CLEAR, aim=Place(Base.POPULATION), save=Base.NEURON)
        step(write=index)
        step(to="fire for good")

        # The first of those furthest above their own thresholds.
        label("fire candidate")
        step(read=winner)
        step(LOAD, WORD, read=moved)
        step(when=Condition.NEGATIVE, to="fire best")
        step(LOAD, WORD, read=own)
        step(SUBTRACT, WORD, read=_scratch(Scratch.BEST_MOVED))
        step(SUBTRACT, WORD, read=_scratch(Scratch.BEST_OWN))
        step(ADD, WORD)
        step(SUBTRACT, ONE, read=moved)
        step(when=Condition.NEGATIVE, to="fire next")
        label("fire best")
        step(LOAD, WORD, read=own)
        step(LOAD, WORD, write=_scratch(Scratch.BEST_MOVED))
        step(write=_scratch(Scratch.BEST_OWN))
        step(read=index)
        step(LOAD, WORD)
        step(write=winner)
        step(to="fire next")

        label("fire write")
        step(call="record")
        step(when=flag(FireFlag.ADAPT), to="fire adapts", read=own)
        step(LOAD, WORD, to="fire adapted")
        label("fire adapts")
        self._decayed(Variable.THRESHOLD, NeuronParameter.THRESHOLD_DECAY)
        label("fire adapted")
        step(
            unless=Condition.SPIKE,
            to="fire own",
            read=_parameter(NeuronParameter.THRESHOLD_INCREMENT),
        )
        step(ADD, WORD)
        label("fire own")
        step(LIMIT)
        step(write=own)
        self._decayed(Variable.ACTIVITY, NeuronParameter.ACTIVITY_DECAY)
        step(
            unless=Condition.SPIKE,
            to="fire activity",
            read=_parameter(NeuronParameter.ACTIVITY_INCREMENT),
        )
        step(ADD, WORD)
        label("fire activity")
        step(LIMIT, read=_parameter(NeuronParameter.ACTIVITY_THRESHOLD))
        step(write=self._of(Variable.ACTIVITY))
        step(SUBTRACT, WORD)
        step(SUBTRACT, ONE, read=_parameter(NeuronParameter.COEFFICIENT))
        step(when=Condition.NEGATIVE, to="fire inactive")
        step(read=_parameter(NeuronParameter.COEFFICIENT_ACTIVE))
        step(LOAD, WORD, read=_parameter(NeuronParameter.TRACE_INCREMENT_ACTIVE),
             to="fire activated")
        label("fire inactive")
        step(LOAD, WORD, read=_parameter(NeuronParameter.TRACE_INCREMENT))
        label("fire activated")
        step(LOAD, WORD, write=self._of(Variable.COEFFICIENT))
        step(write=_scratch(Scratch.WORK))
        self._trace(
            "fire", NeuronParameter.TRACE_DECAY, _scratch(Scratch.WORK), FireFlag.SET_TRACE
        )
        step(CLEAR)
        # A step that goes elsewhere writes nothing: here it is the next one.
        step(write=self._of(Variable.CURRENT), when=flag(FireFlag.HOLD), to="fire held")
        label("fire held")
        step(when=Condition.SPIKE, to="fire reset", read=_parameter(NeuronParameter.RESET))
        step(unless=flag(FireFlag.INHIBIT), to="fire keeps", read=winner)
        step(LOAD, WORD, read=_parameter(NeuronParameter.RESET))
        step(unless=Condition.NEGATIVE, to="fire reset")
        label("fire keeps")
        step(read=moved)
        label("fire reset")
        step(LOAD, WORD)
        step(write=potential)
        step(when=Condition.SPIKE, to="fire refractory",
             read=_parameter(NeuronParameter.REFRACTORY))
        step(read=self._of(Variable.REFRACTORY))
        step(LOAD, WORD)
        step(SUBTRACT, ONE)
        step(unless=Condition.NEGATIVE, to="fire rested")
        step(CLEAR, to="fire rested")
        label("fire refractory")
        step(LOAD, WORD)
        label("fire rested")
        step(write=self._of(Variable.REFRACTORY))
        step(to="fire next")

    def climb(self) -> None:
        step, label = self._step, self._label
        winner, best = _scratch(Scratch.WINNER), _scratch(Scratch.BEST_MOVED)
        answer, current = _scratch(Scratch.WORK), self._of(Variable.CURRENT)
        step(call="begin")
        step(SUBTRACT, ONE, effect=Effect.FIX, aim=Place(Base.TILES), save=Base.TILE)
        step(write=winner)
        step(read=ELEMENT)
        step(LOAD, WORD)
        step(write=answer)

        label("climb output")
        step(read=_scratch(Scratch.INDEX), effect=Effect.SPIKE_OFF)
        step(LOAD, WORD, read=answer)
        step(SUBTRACT, WORD, read=current)
        step(when=Condition.NEGATIVE, to="climb other")
        step(SUBTRACT, ONE)
        step(LOAD, WORD, when=Condition.NEGATIVE, to="climb own")
        label("climb other")
        step(CLEAR)
        step(SUBTRACT, WORD, read=_parameter(ClimbingParameter.MARGIN), to="climb margin")
        label("climb own")
        step(effect=Effect.SPIKE_ON, read=_parameter(ClimbingParameter.MARGIN))
        label("climb margin")
        step(SUBTRACT, WORD, read=_parameter(ClimbingParameter.TONIC))
        step(unless=Condition.NEGATIVE, to="climb sign")
        step(
            unless=Condition.SPIKE,
            to="climb sign",
            read=_parameter(ClimbingParameter.DEPRESSION),
        )
        step(read=_parameter(ClimbingParameter.POTENTIATION))
        label("climb sign")
        step(LOAD, WORD)
        step(write=self._of(Variable.COEFFICIENT), effect=Effect.SPIKE_OFF)
        step(call="within")
        step(when=Condition.NEGATIVE, to="climb there", read=self._of(Variable.COEFFICIENT))
        step(CLEAR)
        step(write=self._of(Variable.COEFFICIENT))
        step(to="climb next")
        label("climb there")
        step(LOAD, WORD)
        step(when=Condition.NEGATIVE, to="climb listed")
        step(SUBTRACT, ONE)
        step(when=Condition.NEGATIVE, to="climb unlisted")
        label("climb listed")
        step(call="list")

        # The first of the largest currents.
        label("climb unlisted")
        step(read=winner)
        step(LOAD, WORD, read=current)
        step(when=Condition.NEGATIVE, to="climb best")
        step(LOAD, WORD, read=best)
        step(SUBTRACT, WORD)
        step(SUBTRACT, ONE, read=current)
        step(when=Condition.NEGATIVE, to="climb next")
        label("climb best")
        step(LOAD, WORD, read=_scratch(Scratch.INDEX))
        step(LOAD, WORD, write=best)
        step(write=winner)
        label("climb next")
        step(call="next")
        step(when=Condition.NEGATIVE, to="climb output")
        step(read=winner)
        step(LOAD, WORD, read=answer)
        step(SUBTRACT, WORD)
        step(effect=Effect.ANSWER, to="finish")

    def plasticity(self) -> None:
        step, label = self._step, self._label
        work, spacing = _scratch(Scratch.WORK), _scratch(Scratch.SPACING)
        stride, remaining = _scratch(Scratch.STRIDE), _scratch(Scratch.REMAINING)
        by_row = flag(PlasticityFlag.BY_ROW)
        step(read=LIST, save=Base.EVENT)
        step(LOAD, WORD)
        step(SUBTRACT, ONE, read=_scratch(Scratch.ROW))
        step(write=remaining, when=Condition.NEGATIVE, to="learned")
        step(LOAD, Field.SPACING)
        step(LOAD, WORD, effect=Effect.COUNT)
        label("learn spacing")
        step(write=spacing)
        step(read=spacing, when=Condition.COUNTED, to="learn spaced", effect=Effect.COUNT_DOWN)
        step(ADD, WORD, to="learn spacing")
        label("learn spaced")
        step(read=_scratch(Scratch.ROW))
        step(SUBTRACT, WORD)
        step(LOAD, Field.STRIDE, write=spacing)
        step(write=_scratch(Scratch.INNER))
        step(effect=Effect.MODE_OFF, unless=by_row, to="learn along", read=_scratch(Scratch.LANES))
        step(LOAD, WORD, effect=Effect.MODE_ON)
        label("learn along")
        step(write=stride)

        label("learn line")
        step(read=NEXT_EVENT, save=Base.EVENT)
        step(LOAD, WORD)
        step(aim=Place(Base.TILES, word=True), save=Base.TILE)
        step(effect=Effect.FIX, unless=by_row, to="learn column",
             read=_parameter(SynapseParameter.COEFFICIENT))
        step(read=Place(Base.EVENT), call="row")
        step(unless=flag(PlasticityFlag.OWN_COEFFICIENT), to="learn column",
             read=_parameter(SynapseParameter.COEFFICIENT))
        # The variable's word of neuron n is (n // L + 1) (rows - 1) L + n behind the population.
        step(read=_scratch(Scratch.RECORD))
        step(effect=Effect.FACTOR, read=Place(Base.EVENT))
        step(LOAD, WORD)
        for _ in range(self._lane_bits):
            step(HALVE)
        step(ADD, ONE, call="multiply")
        step(ADD, WORD)
        self._times_lanes()
        step(read=Place(Base.POPULATION, word=True))
        label("learn column")
        step(effect=Effect.FACTOR, aim=Place(Base.TRACES), save=Base.TRACE)
        step(LOAD, WORD)
        step(LOAD, Field.COLUMNS, write=_scratch(Scratch.COEFFICIENT))
        step(when=by_row, to="learn length")
        step(LOAD, Field.ROWS)
        label("learn length")
        step(effect=Effect.COUNT)

        label("learn synapse")
        step(read=Place(Base.TRACE), effect=Effect.SYNAPSE)
        step(LOAD, WORD, unless=flag(PlasticityFlag.DIFFERENCE), to="learn operand",
             read=ELEMENT)
        step(SUBTRACT, WORD)
        step(LIMIT)
        label("learn operand")
        step(effect=Effect.COUNT_DOWN)
        step(aim=Place(Base.TRACE, 1), save=Base.TRACE)
        step(when=flag(PlasticityFlag.TO_UPPER), to="learn up")
        step(when=flag(PlasticityFlag.TO_LOWER), to="learn down")
        step(LOAD, PRODUCT)
        label("learn change")
        step(read=ELEMENT)
        step(ADD, WORD_HIGH, read=_parameter(SynapseParameter.LOWER))
        step(ADD, RANDOM)
        step(DROP, call="clamp")
        step(write=ELEMENT)
        step(when=Condition.LAST, to="learn wrap")
        step(effect=Effect.LANE, unless=Condition.COUNTED, to="learn synapse")
        label("learn wrap")
        step(effect=Effect.RANDOM_STEP, read=spacing)
        step(effect=Effect.WRAP, read=stride)
        step(aim=Place(Base.TRACE, word=True), save=Base.TRACE)
        step(aim=Place(Base.TILE, word=True), save=Base.TILE)
        step(unless=Condition.COUNTED, to="learn synapse", read=remaining)
        step(LOAD, WORD)
        step(SUBTRACT, ONE)
        step(write=remaining, when=Condition.NEGATIVE, to="learned")
        step(to="learn line")
        label("learned")
        step(effect=Effect.DONE)

        # Soft bounds: the product is the factor of the distance, and what was it is so again.
        label("learn up")
        step(LOAD, PRODUCT_HIGH, read=_parameter(SynapseParameter.UPPER))
        step(LIMIT)
        step(LOAD, WORD, write=work)
        step(read=ELEMENT)
        step(SUBTRACT, WORD, read=work, to="learn distance")
        label("learn down")
        step(LOAD, PRODUCT_HIGH, read=ELEMENT)
        step(LIMIT)
        step(LOAD, WORD, write=work)
        step(read=_parameter(SynapseParameter.LOWER))
        step(SUBTRACT, WORD, read=work)
        label("learn distance")
        step(unless=Condition.NEGATIVE, to="learn distant", effect=Effect.FACTOR)
        step(CLEAR)
        label("learn distant")
        step(LIMIT, call="multiply")
        step(read=_scratch(Scratch.COEFFICIENT))
        step(effect=Effect.FACTOR, to="learn change")



    def scale(self) -> None:
        step, label = self._step, self._label
        index, work = _scratch(Scratch.INDEX), _scratch(Scratch.WORK)
        remaining, coefficient = _scratch(Scratch.REMAINING), _scratch(Scratch.COEFFICIENT)
        listed = flag(ScaleFlag.LISTED)
        step(CLEAR, effect=Effect.MODE_ON)
        step(LOAD, Field.STRIDE, write=index)
        step(LOAD, Field.ROWS, write=_scratch(Scratch.INNER))
        step(unless=listed, to="scale all", read=LIST, save=Base.EVENT)
        step(LOAD, WORD)
        label("scale all")
        step(SUBTRACT, ONE)
        label("scale row")
        step(write=remaining, when=Condition.NEGATIVE, to="scaled")
        step(when=listed, to="scale this", read=NEXT_EVENT, save=Base.EVENT)
        step(read=index)
        step(LOAD, WORD)
        step(ADD, ONE)
        step(write=index)
        label("scale this")
        step(call="row")
        step(LOAD, Field.COLUMNS)
        step(effect=Effect.COUNT)

        label("scale taken")
        step(read=ELEMENT)
        step(LOAD, WORD, effect=Effect.COUNT_DOWN)
        step(unless=flag(ScaleFlag.EUCLIDEAN), to="scale magnitude", effect=Effect.FACTOR)
        step(call="multiply")
        step(to="scale positive")
        label("scale magnitude")
        step(unless=Condition.NEGATIVE, to="scale positive")
        step(CLEAR)
        step(SUBTRACT, WORD)
        # The norm that is wanted stays the word that was read until the factor is found.
        label("scale positive")
        step(read=_parameter(SynapseParameter.NORM))
        step(effect=Effect.TAKE)
        self._along("scale taken")
        label("scale found")
        step(unless=Condition.FOUND, to="scale found")
        step(LOAD, Field.FACTOR, when=Condition.EMPTY, to="scale next", read=work)
        step(write=coefficient)
        step(aim=Place(Base.TILES, word=True), save=Base.TILE)
        step(LOAD, Field.COLUMNS, read=coefficient)
        step(effect=Effect.COUNT)
        step(effect=Effect.FACTOR)

        # (4 w s + 2**15) >> 16
        label("scale weight")
        step(read=ELEMENT)
        step(LOAD, WORD, call="multiply")
        step(ADD, PRODUCT, read=_scratch(Scratch.SPIKE))
        step(ADD, PRODUCT)
        step(ADD, PRODUCT)
        step(SUBTRACT, WORD, read=_parameter(SynapseParameter.LOWER))
        step(DROP, call="clamp")
        step(write=ELEMENT, effect=Effect.COUNT_DOWN)
        self._along("scale weight")

        label("scale next")
        step(read=remaining)
        step(LOAD, WORD)
        step(SUBTRACT, ONE, to="scale row")
        label("scaled")
        step(effect=Effect.DONE)

    def _along(self, loop: str) -> None:
        """To the next weight of the row, or on with lane 0 when the counter is 0."""
        step = self._step
        step(when=Condition.LAST, to=f"{loop} wrap")
        step(effect=Effect.LANE, unless=Condition.COUNTED, to=loop)
        self._label(f"{loop} wrap")
        step(
            effect=Effect.WRAP,
            aim=Place(Base.TILE, 1),
            save=Base.TILE,
            unless=Condition.COUNTED,
            to=loop,
        )
