"""The documentation says what the declarations say."""

import importlib.util
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_generated_pages_are_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.PAGE.read_text() == generate.page(), "run `make docs`"
    assert generate.BOARDS.read_text() == generate.boards_page(), "run `make docs`"
    assert generate.API.read_text() == generate.api_page(), "run `make docs`"
    opcode = generate.isa.Opcode
    assert set(generate.member_docstrings(opcode)) == set(opcode.__members__)
