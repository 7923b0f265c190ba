"""The documentation says what the declarations say."""

import importlib.util
import re
from pathlib import Path

import pytest

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


@pytest.mark.simulator
def test_the_python_of_the_first_page_prints_what_it_says(capsys: pytest.CaptureFixture) -> None:
    page = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    code = "".join(re.findall(r"^```python\n(.*?)^```", page, re.M | re.S))
    exec(compile(code, "README.md", "exec"), {})
    printed, scores = capsys.readouterr().out.splitlines()
    (told,) = re.findall(r"^print.* # (.*)$", code, re.M)
    assert re.fullmatch(re.escape(told).replace(r"\.\.\.", r"\d*"), printed)
    assert all(0.8 < float(score) <= 1 for score in re.findall(r"[\d.]+", scores))
