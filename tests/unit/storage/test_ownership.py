"""Files that aren't ours are never replaced or deleted; ours are known by their bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from polynya.errors import OutputError, ScenesFailedError
from polynya.storage.files import whole_file, write_text
from polynya.storage.ledger import LEDGER_FILE, compact, folder_kinds
from polynya.storage.output_folder import make_folder, open_output
from polynya.storage.ownership import check_free, is_ours, is_whole, remove_file, remove_ours


def test_a_file_of_ours_is_replaced(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", "1")
    write_text(tmp_path / "a.csv", "2")
    assert (tmp_path / "a.csv").read_text() == "2"
    assert is_ours(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["a.csv", "model.keras", "_manifest.csv", ".hidden", "ä,b\nc.txt"])
def test_a_users_file_is_not_replaced(tmp_path: Path, name: str) -> None:
    mine = tmp_path / name
    mine.write_text("mine")
    with pytest.raises(OutputError, match="not a file that Polynya wrote"):
        write_text(mine, "ours")
    assert mine.read_text() == "mine"
    with pytest.raises(OutputError, match="not a file that Polynya wrote"):
        remove_file(mine)
    assert mine.read_text() == "mine"


def test_a_file_of_ours_that_the_user_changed_is_the_users(tmp_path: Path) -> None:
    write_text(tmp_path / "recipe.yaml", "seed: 0")
    (tmp_path / "recipe.yaml").write_text("seed: 1")  # The same size.
    with pytest.raises(OutputError, match="changed since"):
        write_text(tmp_path / "recipe.yaml", "seed: 2")
    assert remove_ours(tmp_path) == [tmp_path / "recipe.yaml"]
    assert (tmp_path / "recipe.yaml").read_text() == "seed: 1"


@pytest.mark.parametrize("size", [0, 1, 15, 16, 3000, 69_999])
@pytest.mark.parametrize("name", ["a.bin", "a.csv"])
def test_a_file_of_ours_that_was_cut_is_replaced(tmp_path: Path, name: str, size: int) -> None:
    text = "".join(chr(33 + i * i % 89) for i in range(70_000))
    write_text(tmp_path / name, text)
    os.truncate(tmp_path / name, size)
    with open_output(tmp_path, "maps"):
        assert not is_whole(tmp_path / name)
        assert is_ours(tmp_path / name) == (name == "a.bin" or size == 0)
        check_free([tmp_path / name])
        write_text(tmp_path / name, text)
    assert is_whole(tmp_path / name)


@pytest.mark.parametrize("content", ["mine", "xxx" * 30, "xxx" * 300 + "mine", "y"])
def test_a_shorter_text_in_the_place_of_ours_is_the_users(tmp_path: Path, content: str) -> None:
    write_text(tmp_path / "a.csv", "xxx" * 300 + "z" * 70_000)
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(OutputError, match="not a file that Polynya wrote"):
        remove_file(tmp_path / "a.csv")
    with pytest.raises(OutputError, match="not a file that Polynya wrote"):
        write_text(tmp_path / "a.csv", "something longer than before" * 4000)
    assert (tmp_path / "a.csv").read_text() == content


@pytest.mark.parametrize("content", [b"mine", b"xxx" * 20 + b"mine" * 40, b"y", b"z" * 70_600])
def test_a_shorter_file_of_another_beginning_is_the_users(tmp_path: Path, content: bytes) -> None:
    write_text(tmp_path / "a.tif.bin", "xxx" * 300 + "z" * 70_000)
    (tmp_path / "a.tif.bin").write_bytes(content)
    with pytest.raises(OutputError, match="not a file that Polynya wrote"):
        write_text(tmp_path / "a.tif.bin", "new")
    assert (tmp_path / "a.tif.bin").read_bytes() == content


def test_a_link_or_folder_in_the_place_of_a_file_is_the_users(tmp_path: Path) -> None:
    write_text(tmp_path / "target", "x")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "folder").mkdir()
    for name in ("link", "folder"):
        with pytest.raises(OutputError, match="not a file that Polynya wrote"):
            write_text(tmp_path / name, "y")
    assert (tmp_path / "link").is_symlink()


def test_a_users_file_that_is_called_like_the_ledger_stays(tmp_path: Path) -> None:
    (tmp_path / LEDGER_FILE).write_text("my,own,table\n")
    with pytest.raises(OutputError, match="is something else"):
        write_text(tmp_path / "a", "x")
    with pytest.raises(OutputError, match="is something else"), open_output(tmp_path, "maps"):
        pass
    assert (tmp_path / LEDGER_FILE).read_text() == "my,own,table\n"
    assert os.listdir(tmp_path) == [LEDGER_FILE]


def test_a_copied_folder_is_still_ours(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_text(tmp_path / "a/x", "1")
    shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=shutil.copy)
    assert is_ours(tmp_path / "b/x")


def test_a_torn_record_hides_no_other(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "1")
    with (tmp_path / LEDGER_FILE).open("ab") as ledger:
        ledger.write(b"file,b,1")  # As of a disk that got full.
    write_text(tmp_path / "c", "3")
    assert is_ours(tmp_path / "a")
    assert is_ours(tmp_path / "c")


@pytest.mark.parametrize("kind", ["shards", "model"])
def test_a_folder_of_something_else_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "recipe.yaml").write_text("seed: 0")
    with pytest.raises(OutputError, match="holds other files"), open_output(tmp_path, kind):
        pass
    assert os.listdir(tmp_path) == ["recipe.yaml"]


def test_a_new_mount_point_is_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    with open_output(tmp_path, "model"):
        pass
    assert sorted(os.listdir(tmp_path)) == [LEDGER_FILE, "lost+found"]


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    with open_output(tmp_path, "maps"):
        write_text(tmp_path / "x.tif.txt", "")
    with pytest.raises(OutputError, match="holds other files"), open_output(tmp_path, "model"):
        pass


def test_a_folder_of_ours_is_taken_again_and_foreign_files_stay(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "model"
    with open_output(out, "model"):
        write_text(out / "recipe.yaml", "")
    (out / "notes.txt").write_text("mine")
    (out / "sub").mkdir()
    (out / "sub/mine").write_text("mine")
    with open_output(out, "model"):
        assert remove_ours(out) == [out / "notes.txt", out / "sub"]
    assert folder_kinds(out) == {"model"}
    assert sorted(os.listdir(out)) == [LEDGER_FILE, "notes.txt", "sub"]


def test_sub_folders_of_ours_go_with_all_that_is_ours(tmp_path: Path) -> None:
    with open_output(tmp_path / "m", "model") as out:
        for name in ("_checkpoints/a.npz.txt", "_checkpoints/b", "_other/c"):
            (out / name).parent.mkdir(exist_ok=True)
            write_text(out / name, name)
        (out / "_other/mine").write_text("mine")
        assert remove_ours(out) == [out / "_other/mine"]
        assert sorted(p.name for p in out.rglob("*") if not p.name.startswith((".", "_p"))) == [
            "_other",
            "mine",
        ]


def test_an_output_folder_inside_another_has_its_own_runs(tmp_path: Path) -> None:
    with open_output(tmp_path / "maps", "maps") as maps:
        write_text(maps / "a", "1")
        with (
            open_output(maps / "evaluation", "evaluation") as inner,
            whole_file(inner / "b") as partial,
        ):
            partial.write_text("2")
            compact(maps)
            assert remove_ours(maps) == []
        assert is_whole(inner / "b")


def test_what_is_in_the_way_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(OutputError, match="file is a file; choose"):
        make_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="link is a link to something that is not there; choose"):
        make_folder(tmp_path / "link")


def test_a_link_as_output_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with open_output(tmp_path / "link", "model") as out:
        write_text(out / "a", "1")
        remove_ours(out)
    assert (tmp_path / "link").is_symlink()
    assert os.listdir(tmp_path / "real") == [LEDGER_FILE]


def test_temporary_files_of_a_killed_run_go_with_the_next(tmp_path: Path) -> None:
    (tmp_path / ("." + "0" * 32 + ".tif")).write_text("the user's, of a name like ours")
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from polynya.storage.files import whole_file\n"
        "from polynya.storage.output_folder import open_output; out = Path(sys.argv[1])\n"
        "with open_output(out, 'maps'), whole_file(out / 'x.gpkg') as partial:\n"
        "    partial.write_text('half'); Path(str(partial) + '-journal').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 5
    with open_output(tmp_path, "maps"):
        pass
    assert sorted(os.listdir(tmp_path)) == ["." + "0" * 32 + ".tif", LEDGER_FILE]


def test_the_ledger_of_a_finished_run_depends_on_its_files_only(tmp_path: Path) -> None:
    texts = []
    for names in (("a", "b", "c"), ("c", "a", "b")):
        out = tmp_path / "".join(names)
        with open_output(out, "maps"):
            for name in names:
                write_text(out / name, "before")
                write_text(out / name, name)
            write_text(out / "gone", "")
            remove_file(out / "gone")
        texts.append((out / LEDGER_FILE).read_text())
    assert texts[0] == texts[1]
    assert len(texts[0].splitlines()) == 5


def test_a_run_of_which_scenes_failed_leaves_as_little_as_another(tmp_path: Path) -> None:
    def run() -> None:
        with open_output(tmp_path, "maps"):
            (tmp_path / "_work").mkdir()
            write_text(tmp_path / "_work" / "part", "part")
            remove_file(tmp_path / "_work" / "part")
            write_text(tmp_path / "a", "a")
            raise ScenesFailedError("1 of 2 scenes failed.")

    with pytest.raises(ScenesFailedError):
        run()
    assert sorted(os.listdir(tmp_path)) == [LEDGER_FILE, "a"]
    lines = (tmp_path / LEDGER_FILE).read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [["kind", "maps"], ["file", "a"]]


def test_processes_write_into_one_ledger_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from polynya.storage.files import write_text\n"
        "for i in range(40): write_text(Path(sys.argv[1]) / f'{sys.argv[2]}{i}', 'x')"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), who]) for who in "abc"]
    assert [process.wait() for process in running] == [0, 0, 0]
    files = [path for path in tmp_path.iterdir() if path.name != LEDGER_FILE]
    assert len(files) == 120
    assert all(map(is_ours, files))


def test_check_free_names_the_file(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "theirs").touch()
    check_free([tmp_path / "ours", tmp_path / "nothing"])
    with pytest.raises(OutputError, match=r"theirs is not a file that Polynya wrote"):
        check_free([tmp_path / "ours", tmp_path / "theirs"])


def test_an_error_in_the_block_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "1")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a") as partial:
        partial.write_bytes(b"half" * (1 // 0))
    assert (tmp_path / "a").read_text() == "1"
    assert is_ours(tmp_path / "a")
    assert sorted(os.listdir(tmp_path)) == [LEDGER_FILE, "a"]


def test_a_folder_that_is_called_by_a_dot_is_no_part_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_output(".", "maps") as folder:
        write_text(folder / "a.txt", "ours")
    (tmp_path / "mine.txt").write_text("mine")
    assert remove_ours(folder) == [Path("mine.txt")]
    assert not (tmp_path / "a.txt").exists()
