"""INTEGRATE, PLASTICITY and SCALE of a serial spiking device, as microcode: by synapses."""

from hw.microcode import Base, Condition, Effect, Field, Place, flag
from hw.microcode_routines import (
    ADD,
    CLEAR,
    DROP,
    ELEMENT,
    HALF,
    HALVE,
    LIMIT,
    LIST,
    LOAD,
    NEXT_EVENT,
    ONE,
    PRODUCT,
    PRODUCT_HIGH,
    RANDOM,
    SUBTRACT,
    WORD,
    WORD_HIGH,
    Scratch,
    Writer,
    parameter,
    scratch,
)
from hw.spiking import PlasticityFlag, ScaleFlag, SynapseParameter, Variable


class Synapses(Writer):
    """Writes the commands; a method each."""

    def integrate(self) -> None:
        """INTEGRATE."""
        self._gather()
        self._add()

    def _gather(self) -> None:
        """The sum of a neuron's weights over the list."""
        step, label = self._step, self._label
        saturations = scratch(Scratch.SATURATIONS)
        step(read=LIST)
        step(LOAD, WORD)
        step(SUBTRACT, ONE)
        step(LOAD, Field.STRIDE, when=Condition.NEGATIVE, to="integrated")
        step(write=scratch(Scratch.STRIDE))
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

    def _add(self) -> None:
        """The sum into the neuron's current, and the next neuron."""
        step, label = self._step, self._label
        saturations = scratch(Scratch.SATURATIONS)
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
        step(unless=Condition.FIRST, to="integrate neuron", read=scratch(Scratch.STRIDE))
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

    def plasticity(self) -> None:
        """PLASTICITY."""
        self._lines()
        self._line()
        self._change()
        self._proceed()
        self._soften()

    def _lines(self) -> None:
        """How the synapses of a line, and their traces, follow each other."""
        step, label = self._step, self._label
        spacing = scratch(Scratch.SPACING)
        stride, remaining = scratch(Scratch.STRIDE), scratch(Scratch.REMAINING)
        by_row = flag(PlasticityFlag.BY_ROW)
        step(read=LIST, save=Base.EVENT)
        step(LOAD, WORD)
        step(SUBTRACT, ONE, read=scratch(Scratch.ROW))
        step(write=remaining, when=Condition.NEGATIVE, to="learned")
        step(LOAD, Field.SPACING)
        step(LOAD, WORD, effect=Effect.COUNT)
        label("learn spacing")
        step(write=spacing)
        step(read=spacing, when=Condition.COUNTED, to="learn spaced", effect=Effect.COUNT_DOWN)
        step(ADD, WORD, to="learn spacing")
        label("learn spaced")
        step(read=scratch(Scratch.ROW))
        step(SUBTRACT, WORD)
        step(LOAD, Field.STRIDE, write=spacing)
        step(write=scratch(Scratch.INNER))
        step(effect=Effect.MODE_OFF, unless=by_row, to="learn along", read=scratch(Scratch.LANES))
        step(LOAD, WORD, effect=Effect.MODE_ON)
        label("learn along")
        step(write=stride)

    def _line(self) -> None:
        """The next row or column: its first tile and its coefficient."""
        step, label = self._step, self._label
        by_row = flag(PlasticityFlag.BY_ROW)
        label("learn line")
        step(read=NEXT_EVENT, save=Base.EVENT)
        step(LOAD, WORD)
        step(aim=Place(Base.TILES, word=True), save=Base.TILE)
        step(effect=Effect.FIX, unless=by_row, to="learn column",
             read=parameter(SynapseParameter.COEFFICIENT))
        step(read=Place(Base.EVENT), call="row")
        step(unless=flag(PlasticityFlag.OWN_COEFFICIENT), to="learn column",
             read=parameter(SynapseParameter.COEFFICIENT))
        # The variable's word of neuron n is (n // L + 1) (rows - 1) L + n behind the population.
        step(read=scratch(Scratch.RECORD))
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
        step(LOAD, Field.COLUMNS, write=scratch(Scratch.COEFFICIENT))
        step(when=by_row, to="learn length")
        step(LOAD, Field.ROWS)
        label("learn length")
        step(effect=Effect.COUNT)

    def _change(self) -> None:
        """A synapse of the line."""
        step, label = self._step, self._label
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
        step(ADD, WORD_HIGH, read=parameter(SynapseParameter.LOWER))
        step(ADD, RANDOM)
        step(DROP, call="clamp")
        step(write=ELEMENT)

    def _proceed(self) -> None:
        """To the next synapse, or the next line."""
        step, label = self._step, self._label
        spacing, stride = scratch(Scratch.SPACING), scratch(Scratch.STRIDE)
        remaining = scratch(Scratch.REMAINING)
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

    def _soften(self) -> None:
        """Soft bounds: k u >> 15 becomes the factor of the distance."""
        step, label = self._step, self._label
        work = scratch(Scratch.WORK)
        label("learn up")
        step(LOAD, PRODUCT_HIGH, read=parameter(SynapseParameter.UPPER))
        step(LIMIT)
        step(LOAD, WORD, write=work)
        step(read=ELEMENT)
        step(SUBTRACT, WORD, read=work, to="learn distance")
        label("learn down")
        step(LOAD, PRODUCT_HIGH, read=ELEMENT)
        step(LIMIT)
        step(LOAD, WORD, write=work)
        step(read=parameter(SynapseParameter.LOWER))
        step(SUBTRACT, WORD, read=work)
        label("learn distance")
        step(unless=Condition.NEGATIVE, to="learn distant", effect=Effect.FACTOR)
        step(CLEAR)
        label("learn distant")
        step(LIMIT, call="multiply")
        step(read=scratch(Scratch.COEFFICIENT))
        step(effect=Effect.FACTOR, to="learn change")

    def scale(self) -> None:
        """SCALE."""
        self._rows()
        self._take()
        self._scale_row()

    def _rows(self) -> None:
        """Which rows there are."""
        step, label = self._step, self._label
        index, remaining = scratch(Scratch.INDEX), scratch(Scratch.REMAINING)
        listed = flag(ScaleFlag.LISTED)
        step(CLEAR, effect=Effect.MODE_ON)
        step(LOAD, Field.STRIDE, write=index)
        step(LOAD, Field.ROWS, write=scratch(Scratch.INNER))
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

    def _take(self) -> None:
        """The norm of the row."""
        step, label = self._step, self._label
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
        step(read=parameter(SynapseParameter.NORM))
        step(effect=Effect.TAKE)
        self._along("scale taken")

    def _scale_row(self) -> None:
        """The row times its factor, and the next row."""
        step, label = self._step, self._label
        work, coefficient = scratch(Scratch.WORK), scratch(Scratch.COEFFICIENT)
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
        step(ADD, PRODUCT, read=scratch(Scratch.SPIKE))
        step(ADD, PRODUCT)
        step(ADD, PRODUCT)
        step(SUBTRACT, WORD, read=parameter(SynapseParameter.LOWER))
        step(DROP, call="clamp")
        step(write=ELEMENT, effect=Effect.COUNT_DOWN)
        self._along("scale weight")

        label("scale next")
        step(read=scratch(Scratch.REMAINING))
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
