"""A build is told from another by the sources of its netlist, not by what else has a name."""

from pathlib import Path

from hw.build_identity import _sources


def sources(folder: Path, **texts: str) -> bytes:
    """The hash over files that are written into a new folder."""
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    return _sources(folder)


def test_a_unit_makes_another_build_and_a_named_configuration_does_not(tmp_path: Path) -> None:
    one = sources(tmp_path / "one", unit="width = 16", configurations="a")
    assert sources(tmp_path / "more", unit="width = 16", configurations="a, b") == one
    assert sources(tmp_path / "wider", unit="width = 18", configurations="a") != one
    assert sources(tmp_path / "moved", block="width = 16", configurations="a") != one


def test_ends_of_lines_make_no_other_build(tmp_path: Path) -> None:
    one = sources(tmp_path / "one", unit="a\nb\n")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "unit.py").write_bytes(b"a\r\nb\r\n")
    assert _sources(tmp_path / "two") == one
