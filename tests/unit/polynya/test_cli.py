"""The command line as a whole."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from polynya import __version__
from polynya.cli import build_app, one_sentence_errors
from polynya.errors import SceneError
from polynya.provenance import file_digest, provenance
from polynya.recipe.recipe import Recipe

COMMANDS = ("doctor", "evaluate", "label", "predict", "scenes", "train")


def test_every_stage_has_its_command_with_help():
    runner = CliRunner()
    overview = runner.invoke(build_app(), ["--help"])
    assert overview.exit_code == 0
    for command in COMMANDS:
        assert command in overview.output
        result = runner.invoke(build_app(), [command, "--help"])
        assert result.exit_code == 0, command
        assert "Usage" in result.output


def test_version():
    assert CliRunner().invoke(build_app(), ["--version"]).output == f"polynya {__version__}\n"


def test_a_users_error_is_one_sentence_and_exit_code_1(capsys):
    def fails() -> None:
        raise SceneError("a.tif does not exist; check the path.")

    with pytest.raises(typer.Exit) as caught:
        one_sentence_errors(fails)()
    assert caught.value.exit_code == 1
    assert capsys.readouterr().err == "Error: a.tif does not exist; check the path.\n"


def test_a_developers_error_keeps_its_traceback():
    def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        one_sentence_errors(fails)()


def start_script(tmp_path: Path, body: str, **variables: str) -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys, time\nfrom pathlib import Path\nfrom polynya.cli import run_script\n"
        f"def command() -> None:\n{body}\nrun_script(command)\n"
    )
    return subprocess.Popen(
        [sys.executable, script],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_an_error_that_nobody_expects_is_one_sentence_that_says_whose_fault_it_is(tmp_path):
    script = start_script(tmp_path, "    1 / 0")
    _, said = script.communicate()
    assert script.returncode == 1
    assert said.startswith("Error: The command could not be finished: ZeroDivisionError at")
    assert "a fault of Polynya" in said
    assert len(said.splitlines()) == 1
    _, said = start_script(tmp_path, "    1 / 0", POLYNYA_TRACEBACK="1").communicate()
    assert "Traceback" in said


def test_a_package_that_is_missing_is_one_sentence_that_names_the_doctor(tmp_path):
    script = start_script(tmp_path, "    import no_such_package")
    _, said = script.communicate()
    assert script.returncode == 1
    assert said == (
        "Error: A package that Polynya needs can't be imported (No module named"
        " 'no_such_package'); 'polynya doctor' says what is missing and how to install it.\n"
    )


WAITS = """
    try:
        print("waits", flush=True)
        time.sleep(60)
    finally:
        Path(__file__).with_name("clean").touch()
"""


@pytest.mark.parametrize(
    ("number", "code", "sentence"),
    [
        (signal.SIGINT, 130, "Interrupted; what is done so far stays.\n"),
        (signal.SIGTERM, 143, "Ended by SIGTERM; what is done so far stays.\n"),
        (signal.SIGHUP, 129, "Ended by SIGHUP; what is done so far stays.\n"),
    ],
)
def test_a_command_that_is_told_to_end_cleans_up_and_says_so(tmp_path, number, code, sentence):
    # Under nohup, or behind `&`, these tests and what they start would ignore some signals.
    before = signal.signal(number, signal.SIG_DFL)
    try:
        script = start_script(tmp_path, WAITS)
    finally:
        signal.signal(number, before)
    assert script.stdout.readline() == "waits\n"
    script.send_signal(number)
    _, said = script.communicate()
    assert (script.returncode, said) == (code, sentence)
    assert (tmp_path / "clean").exists()


def test_a_command_says_itself_how_it_goes_on_after_an_interrupt(capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt("start it again with --resume to go on.")

    with pytest.raises(typer.Exit) as caught:
        one_sentence_errors(interrupted)()
    assert caught.value.exit_code == 130
    assert capsys.readouterr().err == "Interrupted; start it again with --resume to go on.\n"


def test_a_command_under_nohup_goes_on_when_its_terminal_is_closed(tmp_path):
    body = "    print('waits', flush=True)\n    sys.stdin.readline()\n    print('done')"
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        script = start_script(tmp_path, body.replace("sys.stdin.readline()", "time.sleep(1)"))
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert script.stdout.readline() == "waits\n"
    script.send_signal(signal.SIGHUP)
    assert script.communicate() == ("done\n", "")


def test_a_reader_that_goes_away_is_no_error():
    polynya = Path(sys.executable).with_name("polynya")
    words = f"'{polynya}' doctor --quick label | head -n 1"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.slow
def test_a_command_that_can_not_be_imported_keeps_no_other_from_running(tmp_path):
    (tmp_path / "cv2.py").write_text("raise ImportError('broken')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    polynya = Path(sys.executable).with_name("polynya")
    said = "Error: A package that Polynya needs can't be imported (broken)"
    runs = {"--help": 0, "doctor --quick": 0, "label --help": 1, "evaluate --help": 1}
    for words, code in runs.items():
        done = subprocess.run(
            [polynya, *words.split()], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith(said) == bool(code)


def test_help_and_labelling_load_neither_tensorflow_nor_spark():
    code = (
        "import sys; from polynya.cli import build_app; build_app(); import autolabel;"
        "print([m for m in ('tensorflow', 'keras', 'pyspark', 'horovod') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_provenance_has_no_time(tmp_path):
    recipe = Recipe()
    expected = {"polynya_version": __version__, "recipe_digest": recipe.digest(), "source": "a"}
    assert provenance(recipe, source="a") == expected
    (tmp_path / "file").write_bytes(b"abc")
    assert file_digest(tmp_path / "file") == "ba7816bf8f01cfea"
