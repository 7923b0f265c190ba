"""ENCODE of a serial spiking device, as microcode: input after input."""

from hw.microcode import Base, Condition, Effect, Field, Place, flag
from hw.microcode_routines import (
    ADD,
    CLEAR,
    ELEMENT,
    HALF,
    HALVE,
    LIMIT,
    LOAD,
    ONE,
    RANDOM,
    SUBTRACT,
    WORD,
    Scratch,
    Writer,
    parameter,
    scratch,
)
from hw.spiking import EncodeFlag, EncoderParameter, Variable


class Encoder(Writer):
    """Writes ENCODE."""

    def write(self) -> None:
        """ENCODE."""
        self._sample()
        self._intensity()
        self._rate()
        self._latency()
        self._finish()

    def _sample(self) -> None:
        """Where the sample begins, whose row is fixed; columns are the lanes."""
        step, label = self._step, self._label
        work = scratch(Scratch.WORK)
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

    def _intensity(self) -> None:
        """x GAIN >> shift, and whether x is above 0, which a LEVEL tells by."""
        step, label = self._step, self._label
        label("encode input")
        step(read=ELEMENT, effect=Effect.SPIKE_ON)
        step(LOAD, WORD)
        step(SUBTRACT, ONE, read=parameter(EncoderParameter.GAIN))
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

    def _rate(self) -> None:
        """Spikes of RATE and POISSON."""
        step, label = self._step, self._label
        work = scratch(Scratch.WORK)
        step(when=Condition.ENCODING_1, to="encode late")
        # A rate below 0 is 0.
        step(unless=Condition.NEGATIVE, to="encode rate")
        step(CLEAR)
        label("encode rate")
        step(LIMIT, effect=Effect.SPIKE_OFF)
        step(when=Condition.ENCODING_0, to="encode poisson")
        step(read=self._of(Variable.POTENTIAL))
        step(ADD, WORD, read=scratch(Scratch.SPIKE))
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

    def _latency(self) -> None:
        """Spike and trace of LATENCY."""
        step, label = self._step, self._label
        # Latency: since = step + min(r - last step, 0)
        label("encode late")
        step(when=Condition.ENCODING_0, to="encode within")
        step(ADD, HALF, read=parameter(EncoderParameter.LAST_STEP))
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
        step(LOAD, WORD, read=parameter(EncoderParameter.TRACE_INCREMENT))
        step(ADD, WORD, effect=Effect.SPIKE_OFF)
        step(LIMIT, to="encode ramp")
        label("encode silent")
        step(effect=Effect.SPIKE_OFF)
        label("encode now")
        step(CLEAR)
        label("encode ramp")
        step(write=self._of(Variable.TRACE))

    def _finish(self) -> None:
        """The trace of the others, the list, and the next input."""
        step, label = self._step, self._label
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
            parameter(EncoderParameter.TRACE_INCREMENT),
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
