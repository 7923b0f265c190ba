"""Collects the steps of microcode, by names of places among them, and makes words of them."""

from dataclasses import dataclass

from hw.microcode import (
    MOST_STEPS,
    OFFSET_BITS,
    POINTERS,
    WORD,
    Base,
    Condition,
    Effect,
    Field,
    Operand,
    Operation,
    Place,
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step as it is written down; see WORD."""

    operation: Operation
    operand: Operand
    field: Field
    place: Place
    read: bool
    write: bool
    save: Base | None
    effect: Effect
    condition: int
    unless: bool
    target: str | None
    link: bool
    back: bool


class Assembler:
    """Collects steps and names of places among them.

    Parameters
    ----------
    first: where the code begins; before it are the jumps of `entry`
    """

    def __init__(self, *, first: int):
        self._first = first
        self._steps: list[Step] = []
        self._labels: dict[str, int] = {}
        self._entries: dict[int, str] = {}

    def label(self, name: str) -> None:
        """The next step is called so."""
        if name in self._labels:
            raise ValueError(f"label of a step must be new, not {name!r} again")
        self._labels[name] = self._first + len(self._steps)

    def entry(self, number: int, name: str) -> None:
        """Step `number`, below `first`, goes to the label."""
        self._entries[number] = name

    def step(
        self,
        operation: Operation = Operation.KEEP,
        operand: Operand | Field = Operand.WORD,
        *,
        read: Place | None = None,
        write: Place | None = None,
        aim: Place | None = None,
        save: Base | None = None,
        effect: Effect = Effect.NONE,
        when: int | None = None,
        unless: int | None = None,
        to: str | None = None,
        call: str | None = None,
        back: bool = False,
    ) -> None:
        """A step that reads or writes a place, or only `aim`s at it to save it as a pointer.

        It goes to a label (`to`, or `call` to come back), or `back`, when a condition holds, unless
        it does, or without one always.
        """
        places = [place for place in (read, write, aim) if place is not None]
        if len(places) > 1:
            raise ValueError(f"a step must have one place at most, not {places}")
        found = operand if isinstance(operand, Field) else None
        goes = to or call or back
        condition = when if when is not None else unless
        if condition is None:
            condition = Condition.ALWAYS
            if write is not None and goes:
                raise ValueError(
                    f"a step that always goes elsewhere must write nothing, not {write}"
                )
        self._steps.append(
            Step(
                operation=operation,
                operand=Operand.FIELD if isinstance(operand, Field) else operand,
                field=found or Field.ROWS,
                place=places[0] if places else Place(Base.SCRATCH),
                read=read is not None,
                write=write is not None,
                save=save,
                effect=effect,
                condition=condition,
                # A step that goes nowhere never finds that always does not hold.
                unless=unless is not None or not goes,
                target=to or call,
                link=call is not None,
                back=back,
            )
        )

    def words(self) -> list[int]:
        """The code from step 0 on.

        Raises ValueError for a label that is nowhere, and for more than MOST_STEPS steps.
        """
        jumps = [self._jump(number) for number in range(self._first)]
        words = [*jumps, *(self._word(step) for step in self._steps)]
        if len(words) > MOST_STEPS:
            raise ValueError(f"steps of microcode must be at most {MOST_STEPS}, not {len(words)}")
        return words

    def _jump(self, number: int) -> int:
        """To the label; without one to nowhere, and the command is done."""
        step: dict[str, int] = {"effect": Effect.DONE}
        if number in self._entries:
            step = {"condition": Condition.ALWAYS, "target": self._target(self._entries[number])}
        return WORD.const(step).as_value().value

    def _target(self, label: str) -> int:
        if label not in self._labels:
            raise ValueError(f"label must be one of {', '.join(self._labels)}, not {label!r}")
        return self._labels[label]

    def _word(self, step: Step) -> int:
        if not 0 <= step.place.offset < 1 << OFFSET_BITS:
            raise ValueError(
                f"offset must be from 0 to {(1 << OFFSET_BITS) - 1}, not {step.place.offset}"
            )
        return (
            WORD.const(
                {
                    "base": step.place.base,
                    "offset": step.place.offset,
                    "word": step.place.word,
                    "tile": step.place.tile,
                    "read": step.read,
                    "write": step.write,
                    "save": step.save is not None,
                    "pointer": POINTERS.index(step.save) if step.save is not None else 0,
                    "operation": step.operation,
                    "operand": step.operand,
                    "field": step.field,
                    "effect": step.effect,
                    "condition": step.condition,
                    "unless": step.unless,
                    "link": step.link,
                    "back": step.back,
                    "target": self._target(step.target) if step.target else 0,
                }
            )
            .as_value()
            .value
        )
