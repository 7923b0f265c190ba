"""RESET, FIRE and CLIMB of a serial spiking device, as microcode: neuron after neuron."""

from hw.microcode import Base, Condition, Effect, Place, flag
from hw.microcode_routines import (
    ADD,
    CLEAR,
    ELEMENT,
    LIMIT,
    LIST,
    LOAD,
    ONE,
    SUBTRACT,
    WORD,
    Scratch,
    Writer,
    parameter,
    scratch,
)
from hw.spiking import ClimbingParameter, FireFlag, NeuronParameter, Variable


class Neurons(Writer):
    """Writes the commands; a method each."""

    def reset(self) -> None:
        """RESET."""
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

    def fire(self) -> None:
        """FIRE: a pass for the winner, where one matters, and one that writes."""
        self._begin()
        self._move()
        self._tell()
        self._compete()
        self._adapt()
        self._rest()

    def _begin(self) -> None:
        """The list, and which pass comes first."""
        step, label = self._step, self._label
        winner = scratch(Scratch.WINNER)
        step(call="begin")
        step(SUBTRACT, ONE)
        step(write=winner)
        step(unless=flag(FireFlag.APPEND), to="fire anew", read=LIST)
        step(LOAD, WORD)
        step(write=scratch(Scratch.SPIKES))
        self._times_lanes()
        step(aim=Place(Base.LIST, word=True), save=Base.EVENT)
        label("fire anew")
        step(when=flag(FireFlag.WINNER), to="fire neuron", effect=Effect.MODE_OFF)
        step(when=flag(FireFlag.INHIBIT), to="fire neuron")
        label("fire for good")
        step(effect=Effect.MODE_ON)

    def _move(self) -> None:
        """The potential before any spike, into Scratch.MOVED, and whether it can be one."""
        step, label = self._step, self._label
        moved, potential = scratch(Scratch.MOVED), self._of(Variable.POTENTIAL)
        label("fire neuron")
        step(read=self._of(Variable.REFRACTORY), effect=Effect.SPIKE_OFF)
        step(LOAD, WORD)
        step(SUBTRACT, ONE, read=potential)
        step(unless=Condition.NEGATIVE, to="fire rests")
        step(effect=Effect.FACTOR, read=parameter(NeuronParameter.LEAK))
        step(LOAD, WORD, read=potential, call="decay")
        step(read=self._of(Variable.CURRENT), effect=Effect.SPIKE_ON)
        step(ADD, WORD)
        step(LIMIT, to="fire moved")
        label("fire rests")
        step(LOAD, WORD)
        label("fire moved")
        step(write=moved)

    def _tell(self) -> None:
        """Whether the neuron fires, and the next one."""
        step, label = self._step, self._label
        index, moved, winner = map(scratch, (Scratch.INDEX, Scratch.MOVED, Scratch.WINNER))
        own = self._of(Variable.THRESHOLD)
        step(unless=Condition.SPIKE, to="fire told", read=own)
        step(SUBTRACT, WORD, read=parameter(NeuronParameter.THRESHOLD))
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

    def _compete(self) -> None:
        """The first of those furthest above their own thresholds becomes the winner."""
        step, label = self._step, self._label
        index, moved, winner = map(scratch, (Scratch.INDEX, Scratch.MOVED, Scratch.WINNER))
        own = self._of(Variable.THRESHOLD)
        label("fire candidate")
        step(read=winner)
        step(LOAD, WORD, read=moved)
        step(when=Condition.NEGATIVE, to="fire best")
        step(LOAD, WORD, read=own)
        step(SUBTRACT, WORD, read=scratch(Scratch.BEST_MOVED))
        step(SUBTRACT, WORD, read=scratch(Scratch.BEST_OWN))
        step(ADD, WORD)
        step(SUBTRACT, ONE, read=moved)
        step(when=Condition.NEGATIVE, to="fire next")
        label("fire best")
        step(LOAD, WORD, read=own)
        step(LOAD, WORD, write=scratch(Scratch.BEST_MOVED))
        step(write=scratch(Scratch.BEST_OWN))
        step(read=index)
        step(LOAD, WORD)
        step(write=winner)
        step(to="fire next")

    def _adapt(self) -> None:
        """The list, the neuron's own threshold and its activity, and what follows of that."""
        step, label = self._step, self._label
        own = self._of(Variable.THRESHOLD)
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
            read=parameter(NeuronParameter.THRESHOLD_INCREMENT),
        )
        step(ADD, WORD)
        label("fire own")
        step(LIMIT)
        step(write=own)
        self._decayed(Variable.ACTIVITY, NeuronParameter.ACTIVITY_DECAY)
        step(
            unless=Condition.SPIKE,
            to="fire activity",
            read=parameter(NeuronParameter.ACTIVITY_INCREMENT),
        )
        step(ADD, WORD)
        label("fire activity")
        step(LIMIT, read=parameter(NeuronParameter.ACTIVITY_THRESHOLD))
        step(write=self._of(Variable.ACTIVITY))
        step(SUBTRACT, WORD)
        step(SUBTRACT, ONE, read=parameter(NeuronParameter.COEFFICIENT))
        step(when=Condition.NEGATIVE, to="fire inactive")
        step(read=parameter(NeuronParameter.COEFFICIENT_ACTIVE))
        step(LOAD, WORD, read=parameter(NeuronParameter.TRACE_INCREMENT_ACTIVE),
             to="fire activated")
        label("fire inactive")
        step(LOAD, WORD, read=parameter(NeuronParameter.TRACE_INCREMENT))
        label("fire activated")
        step(LOAD, WORD, write=self._of(Variable.COEFFICIENT))
        step(write=scratch(Scratch.WORK))

    def _rest(self) -> None:
        """Trace, current, potential and rest."""
        step, label = self._step, self._label
        moved, winner = scratch(Scratch.MOVED), scratch(Scratch.WINNER)
        potential = self._of(Variable.POTENTIAL)
        self._trace(
            "fire", NeuronParameter.TRACE_DECAY, scratch(Scratch.WORK), FireFlag.SET_TRACE
        )
        step(CLEAR)
        # A step that goes elsewhere writes nothing: here it is the next one.
        step(write=self._of(Variable.CURRENT), when=flag(FireFlag.HOLD), to="fire held")
        label("fire held")
        step(when=Condition.SPIKE, to="fire reset", read=parameter(NeuronParameter.RESET))
        step(unless=flag(FireFlag.INHIBIT), to="fire keeps", read=winner)
        step(LOAD, WORD, read=parameter(NeuronParameter.RESET))
        step(unless=Condition.NEGATIVE, to="fire reset")
        label("fire keeps")
        step(read=moved)
        label("fire reset")
        step(LOAD, WORD)
        step(write=potential)
        step(when=Condition.SPIKE, to="fire refractory",
             read=parameter(NeuronParameter.REFRACTORY))
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
        """CLIMB."""
        self._sign()
        self._answer()

    def _sign(self) -> None:
        """Each output's coefficient, and the list of those with one."""
        step, label = self._step, self._label
        winner, answer = scratch(Scratch.WINNER), scratch(Scratch.WORK)
        current = self._of(Variable.CURRENT)
        step(call="begin")
        step(SUBTRACT, ONE, effect=Effect.FIX, aim=Place(Base.TILES), save=Base.TILE)
        step(write=winner)
        step(read=ELEMENT)
        step(LOAD, WORD)
        step(write=answer)

        label("climb output")
        step(read=scratch(Scratch.INDEX), effect=Effect.SPIKE_OFF)
        step(LOAD, WORD, read=answer)
        step(SUBTRACT, WORD, read=current)
        step(when=Condition.NEGATIVE, to="climb other")
        step(SUBTRACT, ONE)
        step(LOAD, WORD, when=Condition.NEGATIVE, to="climb own")
        label("climb other")
        step(CLEAR)
        step(SUBTRACT, WORD, read=parameter(ClimbingParameter.MARGIN), to="climb margin")
        label("climb own")
        step(effect=Effect.SPIKE_ON, read=parameter(ClimbingParameter.MARGIN))
        label("climb margin")
        step(SUBTRACT, WORD, read=parameter(ClimbingParameter.TONIC))
        step(unless=Condition.NEGATIVE, to="climb sign")
        step(
            unless=Condition.SPIKE,
            to="climb sign",
            read=parameter(ClimbingParameter.DEPRESSION),
        )
        step(read=parameter(ClimbingParameter.POTENTIATION))
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

    def _answer(self) -> None:
        """The first of the largest currents is the answer."""
        step, label = self._step, self._label
        winner, best = scratch(Scratch.WINNER), scratch(Scratch.BEST_MOVED)
        answer, current = scratch(Scratch.WORK), self._of(Variable.CURRENT)
        label("climb unlisted")
        step(read=winner)
        step(LOAD, WORD, read=current)
        step(when=Condition.NEGATIVE, to="climb best")
        step(LOAD, WORD, read=best)
        step(SUBTRACT, WORD)
        step(SUBTRACT, ONE, read=current)
        step(when=Condition.NEGATIVE, to="climb next")
        label("climb best")
        step(LOAD, WORD, read=scratch(Scratch.INDEX))
        step(LOAD, WORD, write=best)
        step(write=winner)
        label("climb next")
        step(call="next")
        step(when=Condition.NEGATIVE, to="climb output")
        step(read=winner)
        step(LOAD, WORD, read=answer)
        step(SUBTRACT, WORD)
        step(effect=Effect.ANSWER, to="finish")
