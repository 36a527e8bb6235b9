"""Files and folders that are there whole or not at all."""

import os

import pytest

from polynya.errors import OutputError
from polynya.files import remove_partial, whole_file, whole_folder, write_text


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


def test_a_folder_replaces_the_old_one_at_the_end(tmp_path):
    path = tmp_path / "scene=a"
    for text in ("first", "second"):
        with whole_folder(path, "_partial-a-") as partial:
            (partial / "part").write_text(text)
            assert partial.name.startswith("_partial-a-")
        assert (path / "part").read_text() == text
    assert [p.name for p in tmp_path.iterdir()] == ["scene=a"]


def test_a_folder_that_fails_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "scene=a"
    with whole_folder(path, "_partial-") as partial:
        (partial / "part").write_text("old")
    with pytest.raises(ZeroDivisionError), whole_folder(path, "_partial-") as partial:
        fail_after_writing(partial / "part")
    assert (path / "part").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["scene=a"]


def test_an_empty_folder_is_not_kept_and_takes_the_old_one_away(tmp_path):
    path = tmp_path / "scene=a"
    path.mkdir()
    (path / "part").touch()
    with whole_folder(path, "_partial-"):
        pass
    assert not list(tmp_path.iterdir())


def test_two_attempts_at_one_folder_never_share_a_name_whatever_their_process(tmp_path):
    path = tmp_path / "scene=a"
    with whole_folder(path, "_partial-a-") as one, whole_folder(path, "_partial-a-") as two:
        assert one != two
        (one / "part").write_text("same")
        (two / "part").write_text("same")
    assert (path / "part").read_text() == "same"
    assert [p.name for p in tmp_path.iterdir()] == ["scene=a"]


def test_a_folder_that_another_attempt_puts_there_meanwhile_is_replaced(tmp_path, monkeypatch):
    path = tmp_path / "scene=a"
    rename, renamed = type(path).rename, []

    def rename_after_another(self, target):
        renamed.append(target)
        if len(renamed) == 1:
            os.makedirs(target)
            (target / "other").touch()
        return rename(self, target)

    monkeypatch.setattr(type(path), "rename", rename_after_another)
    with whole_folder(path, "_partial-") as partial:
        (partial / "part").touch()
    assert [p.name for p in path.iterdir()] == ["part"]
    assert len(renamed) == 2


def test_what_killed_processes_left_can_be_removed(tmp_path):
    for name in ("_partial-a-1", "_partial-b-2", "scene=a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").touch()
    remove_partial(tmp_path, "_partial-")
    assert [p.name for p in tmp_path.iterdir()] == ["scene=a"]
