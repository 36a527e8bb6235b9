"""What other projects leave in the environment, and users and machines that lack something."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import WriteScene, ice_image

from polynya import environment
from polynya.recipe.classes import SEA_ICE
from polynya.report.pictures import draw_panels

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[3]


def run(
    *words: str | Path, cwd: Path | None = None, prefix: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    settings = os.environ | {"PATH": path} | variables
    if prefix:
        # Another user may not write what coverage finds, and that error can be a scene's.
        settings.pop("COVERAGE_PROCESS_CONFIG", None)
    return subprocess.run(
        [*prefix, *map(str, words)],
        env=settings,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def nobody(tmp_path: Path) -> tuple[str, ...]:
    """What starts a command as a user whom the system doesn't know; it may write in tmp_path."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can start a command as another user")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder != Path("/") and folder != Path("/tmp"):
            folder.chmod(0o777 if folder == tmp_path else folder.stat().st_mode | 0o055)
    # May read what root has installed in its home, and write nothing of it.
    reads = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    prefix = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", *reads)
    if run(sys.executable, "-c", "", prefix=prefix).returncode != 0:
        pytest.skip("this machine lets no other user read what root has installed")
    return prefix


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("OMP_NUM_THREADS", "0", False),
        ("OMP_NUM_THREADS", "auto", False),
        ("OMP_NUM_THREADS", "4,2", True),
        ("NUMBA_NUM_THREADS", "-1", False),
        ("TF_NUM_INTRAOP_THREADS", "2", True),
        ("TF_CPP_MIN_LOG_LEVEL", "ERROR", False),
        ("TF_CPP_MIN_LOG_LEVEL", "0", True),
        ("TMPDIR", "/nowhere", False),
        ("TMPDIR", "/proc", False),
        ("SSL_CERT_FILE", "/nowhere/cacert.pem", False),
        ("KERAS_MAX_EPOCHS", "3", False),
        ("MATPLOTLIBRC", "/dev/null", False),
        ("AWS_PROFILE", "mine", True),
    ],
)
def test_variables_that_no_program_can_use_are_taken_out(name: str, value: str, kept: bool) -> None:
    variables = {name: value}
    notes = environment.drop_unusable(variables)
    assert (name in variables) == kept
    said = not kept and name not in environment._IGNORED
    assert [note.startswith(f"Note: {name}={value} ") for note in notes] == [True] * said


@pytest.mark.slow
def test_a_command_runs_whatever_other_projects_have_set(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    scene = write_scene("Eis_\u96ea.tif", ice_image(64, 64))
    done = run(
        "polynya", "label", "--scenes", scene, "--out", tmp_path / "out",
        LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii",
        PYTHONWARNINGS="error", TERM="dumb", COLUMNS="0", TERMINAL_WIDTH="wide", TMPDIR="/nowhere",
        OMP_NUM_THREADS="0", NUMBA_NUM_THREADS="many", NUMBA_CACHE_DIR="/proc/none",
        MPLBACKEND="module://no.such.backend", PROJ_LIB="/nowhere", PROJ_DATA="/nowhere",
        GDAL_DATA="/nowhere", GDAL_DRIVER_PATH="/nowhere",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 tiles = 1 labelled" in done.stdout
    notes = [line for line in done.stderr.splitlines() if line.startswith("Note:")]
    assert [note.split()[1].split("=")[0] for note in notes] == [
        "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "TMPDIR",
    ]  # fmt: skip


@pytest.mark.parametrize("variable", ["PROJ_LIB", "PROJ_DATA", "GDAL_DATA"])
def test_coordinates_are_right_beside_a_proj_of_another_version(
    variable: str, tmp_path: Path
) -> None:
    (tmp_path / "proj.db").write_bytes(b"SQLite format 3, of another version")
    code = (
        "import polynya.scenes.reading; from rasterio.warp import transform;"
        "print(transform('EPSG:3031', 'EPSG:4326', [0.0], [-1e6])[1])"
    )
    done = run(sys.executable, "-c", code, **{variable: str(tmp_path)})
    assert done.returncode == 0, done.stderr
    latitude = float(done.stdout.strip("[]\n"))
    assert latitude == pytest.approx(-80.8153, abs=1e-4)


def test_a_gdal_that_brings_no_files_keeps_the_variables_that_name_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    variables = {"PROJ_DATA": "/opt/conda/share/proj"}
    environment.settle_geodata(variables)
    assert variables == {"PROJ_DATA": "/opt/conda/share/proj"}


@pytest.mark.slow
def test_keras_runs_as_training_needs_it_and_one_that_can_not_is_one_sentence(
    tmp_path: Path,
) -> None:
    settings = {"backend": "jax", "floatx": "float16", "epsilon": 1, "image_data_format": "x"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    code = """
from training.ranks.devices import import_tensorflow
import_tensorflow()
import keras
print(keras.config.backend(), keras.config.floatx(), keras.config.epsilon(),
      keras.config.image_data_format())
keras.config.set_image_data_format("channels_first")
try:
    import_tensorflow()
except Exception as error:
    print(type(error).__name__, error)
"""
    done = run(
        sys.executable, "-c", code, cwd=ROOT,
        KERAS_BACKEND="torch", KERAS_HOME=str(tmp_path), KERAS_MAX_EPOCHS="few",
        MPLBACKEND="module://no.such.backend",
    )  # fmt: skip
    first, second = done.stdout.splitlines()
    assert first == "tensorflow float32 1e-07 channels_last"
    assert second.startswith(
        "MissingDependencyError Keras was imported with tensorflow, channels_first, float32"
    )
    assert "open the model before anything imports Keras" in second


def test_pictures_look_the_same_under_a_users_own_style(tmp_path: Path) -> None:
    style = "font.size: 30\nsavefig.bbox: tight\nimage.cmap: jet\naxes.facecolor: red\n"
    (tmp_path / "matplotlibrc").write_text(style)
    code = """
import sys
from pathlib import Path
import numpy as np
from polynya.recipe.classes import SEA_ICE
from polynya.report.pictures import draw_panels
draw_panels(Path(sys.argv[1]), [("Codes", np.zeros((40, 40), np.uint8))], SEA_ICE, "Title")
"""
    theirs, ours = tmp_path / "theirs.png", tmp_path / "ours.png"
    done = run(
        sys.executable, "-c", code, theirs, cwd=tmp_path,
        MPLBACKEND="module://no.such.backend", MPLCONFIGDIR="/proc/none",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    draw_panels(ours, [("Codes", np.zeros((40, 40), np.uint8))], SEA_ICE, "Title")
    assert ours.read_bytes() == theirs.read_bytes()


def test_the_cache_is_where_the_user_says_else_where_only_they_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, caches, temporary = tmp_path / "home", tmp_path / "caches", tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    variables = {"HOME": str(home), "XDG_CACHE_HOME": str(caches), "POLYNYA_CACHE": str(tmp_path)}
    assert environment.cache_folder("numba", variables) == tmp_path / "numba"
    del variables["POLYNYA_CACHE"]
    assert environment.cache_folder("numba", variables) == caches / "polynya/numba"
    variables["XDG_CACHE_HOME"] = "not/absolute"
    assert environment.cache_folder("numba", variables) == home / ".cache/polynya/numba"
    variables["HOME"] = "/proc"
    private = temporary / f"polynya-{os.geteuid()}"
    assert environment.cache_folder("numba", variables) == private / "numba"
    # Numba runs what it finds in its cache, so a folder that others can write is none.
    private.chmod(0o777)
    assert environment.cache_folder("numba", variables) is None
    shutil.rmtree(private)
    private.symlink_to(tmp_path)
    assert environment.cache_folder("numba", variables) is None


def test_java_gets_a_host_name_only_where_the_machine_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert environment.spark_environment({"PYSPARK_PYTHON": "python3"}) == {}
    assert environment.spark_environment({}) == {"PYSPARK_DRIVER_PYTHON": sys.executable}

    def unknown(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(environment.socket, "getaddrinfo", unknown)
    lacking = environment.spark_environment({"PYSPARK_PYTHON": "python3"})
    assert lacking == {"SPARK_LOCAL_HOSTNAME": "localhost"}
    own = {"PYSPARK_PYTHON": "python3", "SPARK_LOCAL_IP": "10.0.0.1"}
    assert environment.spark_environment(own) == {}


@pytest.mark.slow
@pytest.mark.parametrize("home", ["/", "/nowhere", ""])
def test_a_user_whom_the_system_does_not_know_labels_from_a_read_only_installation(
    home: str, nobody: tuple[str, ...], write_scene: WriteScene, tmp_path: Path
) -> None:
    scene = write_scene("a.tif", ice_image(64, 64))
    (tmp_path / "recipe.yaml").write_text("label: {method: none}\n")
    words = ("--scenes", scene, "--out", tmp_path / "out", "--recipe", tmp_path / "recipe.yaml")
    place = {"TMPDIR": str(tmp_path), "HOME": home}
    done = run("polynya", "label", *words, cwd=Path("/"), prefix=nobody, **place)
    assert done.returncode == 0, done.stderr
    assert "1 tiles = 1 labelled" in done.stdout


@pytest.mark.slow
def test_spark_runs_for_a_user_whom_the_system_does_not_know(
    nobody: tuple[str, ...], write_scene: WriteScene, tmp_path: Path
) -> None:
    scene = write_scene("a.tif", ice_image(64, 64))
    job = ROOT / "autolabel/job.py"
    (tmp_path / "recipe.yaml").write_text("label: {method: none}\n")
    words = ("--scenes", scene, "--out", tmp_path / "out", "--recipe", tmp_path / "recipe.yaml")
    place = {"TMPDIR": str(tmp_path), "HOME": "/"}
    done = run(
        *("spark-submit", "--master", "local[1]", job, *words),
        cwd=Path("/"), prefix=nobody, **place,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 tiles = 1 labelled" in done.stdout


def test_a_python_without_polynya_under_spark_is_one_sentence() -> None:
    code = f"import runpy; runpy.run_path({str(ROOT / 'autolabel/job.py')!r})"
    done = run(sys.executable, "-I", "-S", "-c", code)
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: {sys.executable} runs this job and has no module autolabel; unset PYSPARK_PYTHON"
        " and PYSPARK_DRIVER_PYTHON, or let them name the Python of Polynya.\n"
    )
