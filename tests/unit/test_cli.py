"""The command line as a whole."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from polynya import __version__
from polynya.cli import build_app, one_sentence_errors
from polynya.errors import SceneError
from polynya.provenance import file_digest, provenance
from polynya.recipe import Recipe

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
