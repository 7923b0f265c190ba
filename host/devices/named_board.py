"""Boards in the names of devices: 'netlist:BOARD' and 'serial:PORT@BOARD'.

A board has one configuration, so a run on such a device takes that, whatever its file says.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hw.config import DeviceConfig

if TYPE_CHECKING:
    from boards.board import Board


def named_board(spec: str) -> "Board | None":
    """The board that the name of a device tells, if any; ValueError where there is no such one."""
    kind, _, place = spec.partition(":")
    name = place if kind == "netlist" else place.partition("@")[2] if kind == "serial" else ""
    if not name or name.isdigit():
        return None
    # Most runs name no board, and need not wait for the gateware's language.
    from boards.board import board

    return board(name)


def named_configuration(specs: Iterable[str]) -> str | None:
    """The configuration of the boards that devices are named after; None where there are none.

    Raises ValueError where they have different ones.
    """
    boards = {spec: named_board(spec) for spec in specs}
    found = {spec: there.config.name for spec, there in boards.items() if there}
    if len(set(found.values())) > 1:
        each = ", ".join(f"{spec} has {name}" for spec, name in found.items())
        raise ValueError(f"devices must have one configuration to run the same program, but {each}")
    return next(iter(found.values()), None)


def check_configuration(spec: str, config: DeviceConfig) -> None:
    """Raise ValueError where a device is named after a board of another configuration."""
    there = named_board(spec)
    if there and there.config != config:
        raise ValueError(
            f"{spec} must be opened with the configuration of the {there.title}, "
            f"{there.config.name}, not {config.name}"
        )
