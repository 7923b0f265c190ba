"""How a bitstream gets onto its board: openFPGALoader's command line."""

from pathlib import Path

from boards.board import Board
from boards.programs import program
from boards.report import read_report
from hw.build_identity import build_identity


def loading(name: str, board: Board, folder: Path, *, permanent: bool = False) -> list[str]:
    """The command that loads what `boards.flow.build` left in the board's folder.

    Raises ValueError where there is no bitstream, or one of another build of the design.
    """
    if board.loader is None:
        raise ValueError(f"openFPGALoader does not know {board.title}: {board.notes}")
    report = folder / "report.json"
    if not report.exists():
        raise ValueError(f"{folder} has no bitstream yet: run `synaptile synth {name}` first")
    found = read_report(report)
    if found.bitstream is None or not Path(found.bitstream).exists():
        raise ValueError(
            f"{folder} has no bitstream, as no placement met its clock; run `synaptile synth "
            f"{name}` with more --seeds"
        )
    if found.identity != build_identity(board.config).hex():
        raise ValueError(
            f"{found.bitstream} is of another build of the design; run `synaptile synth {name}` "
            "again"
        )
    where = ["--write-flash"] if permanent else []
    return [program("openfpgaloader-cli"), *board.loader, *where, found.bitstream]
