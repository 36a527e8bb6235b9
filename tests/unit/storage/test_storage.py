"""Folders on a disk; object stores are in tests/integration."""

import pickle

import pytest

from polynya.errors import OutputError
from polynya.storage.folder import Folder, absolute


def test_files_are_written_whole_listed_read_and_removed(tmp_path):
    folder = Folder.at(tmp_path / "out")
    assert folder.names() == []
    folder.write("b/two.json", b"2")
    folder.write("one.txt", b"1")
    folder.write("one.txt", b"one")
    assert folder.names() == ["b/two.json", "one.txt"]
    assert folder.read("one.txt") == b"one"
    assert folder.has("b/two.json")
    assert not folder.has("b")
    folder.remove(["b/two.json", "never.txt"])
    assert folder.names() == ["one.txt"]
    assert not (tmp_path / "out" / "b").exists()


def test_a_folder_travels_to_workers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Folder.at("out")
    folder.write("a", b"a")
    copy = pickle.loads(pickle.dumps(folder))
    monkeypatch.chdir("/")
    assert copy.read("a") == b"a"
    assert str(copy) == str(tmp_path / "out")


def test_places_are_absolute_unless_they_are_uris():
    assert absolute("/a/b.tif") == "/a/b.tif"
    for uri in ("gs://bucket/a.tif", "https://host/a.tif", "/vsizip/a.zip/b.tif"):
        assert absolute(uri) == uri


def test_what_can_not_be_a_folder_is_one_sentence(tmp_path):
    with pytest.raises(OutputError, match="nowhere://a can't be used as a folder"):
        Folder.at("nowhere://a").names()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is a file; choose another --out"):
        Folder.at(tmp_path / "file").write("a", b"")
