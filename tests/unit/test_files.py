"""Files that are there whole or not at all."""

import pytest

from polynya.errors import OutputError
from polynya.files import whole_file, write_text


def fail_after_writing(path):
    path.write_text("new")
    raise ZeroDivisionError


def test_a_file_appears_at_the_end_and_keeps_its_ending(tmp_path):
    path = tmp_path / "model.keras"
    with whole_file(path) as partial:
        partial.write_text("new")
        assert not path.exists()
        assert partial.suffix == ".keras"
        assert partial.parent == tmp_path
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]


def test_a_file_that_fails_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as partial:
        fail_after_writing(partial)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(OutputError, match="can't be written: No such file.*choose another --out"):
        write_text(tmp_path / "none" / "a.txt", "")
