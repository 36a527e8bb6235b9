"""The report on this machine, with real programs, and with programs and packages taken away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from polynya.doctor import components
from polynya.doctor.starts import TASKS, answers_of, telling_line

BIN = Path(sys.executable).parent


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare_python(tmp_path: Path) -> list[str]:
    """The doctor in a Python without GDAL, Numba, Spark, TensorFlow, Keras and Horovod."""
    taken_away = ("rasterio", "numba", "pyspark", "tensorflow", "keras", "horovod")
    seen = tmp_path / "seen"
    seen.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not entry.name.startswith(taken_away):
            (seen / entry.name).symlink_to(entry)
    if not (seen / "polynya").exists():
        (seen / "polynya").symlink_to(Path(components.__file__).parents[1])
    code = (
        f"import sys; sys.path.insert(0, {str(seen)!r})\n"
        "import typer; from polynya.doctor import doctor; typer.run(doctor)"
    )
    return [sys.executable, "-I", "-S", "-c", code]


def run_doctor(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [BIN / "polynya", "doctor", *words],
        env=os.environ | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_complete_set_up_is_complete() -> None:
    checks = components.all_checks()
    needed = {name for task in TASKS.values() for name in task.needs}
    assert [name for name in needed if not checks[name].ok] == []
    assert "Gloo and MPI" in checks["Horovod"].found
    assert checks["Python"].found.startswith(sys.version.split()[0])


@pytest.mark.slow
def test_the_command_starts_every_task_and_exits_with_0() -> None:
    done = run_doctor()
    assert done.returncode == 0, done.stdout + done.stderr
    for name in (*components.all_checks(), *TASKS):
        assert name in done.stdout
    assert done.stdout.endswith(f"Ready: {', '.join(TASKS)}.\n")


def test_a_quick_look_starts_nothing_and_calls_nothing_ready() -> None:
    done = run_doctor("--quick", "label", "spark", SPARK_HOME="/nowhere")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("Installed, but not started: label, spark.\n")
    assert "eady" not in done.stdout


def test_an_unknown_task_is_one_sentence() -> None:
    done = run_doctor("map")
    assert done.returncode == 1
    assert done.stderr == f"Error: There is no task map; the tasks are: {', '.join(TASKS)}.\n"


@pytest.mark.slow
def test_another_spark_is_not_ready_and_the_remedy_was_tried(tmp_path: Path) -> None:
    executable(tmp_path / "bin/spark-class", "echo 'Error: this Spark is 2.4' >&2; exit 3")
    done = run_doctor("spark", SPARK_HOME=str(tmp_path))
    assert done.returncode == 1
    assert f"Error: this Spark is 2.4 (SPARK_HOME={tmp_path})" in done.stdout
    assert "unset SPARK_HOME" in done.stdout
    assert done.stdout.endswith("Not ready: spark. Run the command beside each.\n")


@pytest.mark.slow
def test_a_python_that_spark_would_start_instead_of_ours_is_named() -> None:
    done = run_doctor("spark", PYSPARK_DRIVER_PYTHON="jupyter")
    assert done.returncode == 1
    assert "unset PYSPARK_DRIVER_PYTHON" in done.stdout


@pytest.mark.slow
def test_a_package_that_shadows_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('an OpenCV of another project')")
    done = run_doctor("label", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "an OpenCV of another project" in done.stdout
    assert f"(PYTHONPATH={tmp_path}" in done.stdout
    assert "unset PYTHONPATH" in done.stdout


def test_what_nobody_installed_is_not_asked_for() -> None:
    checks = dict(components.all_checks())
    absent = components.Check("Horovod", False, "not installed", "make setup")
    old = components.Check("Java", False, "1.8; Spark needs 17", "apt-get install java")
    checks |= {"Horovod": absent, "Java": old}
    answers = answers_of(["label", "spark", "ranks"], checks, start=False)
    assert [answer.state for answer in answers.values()] == [
        "installed", "not ready", "not installed",
    ]  # fmt: skip
    assert answers["spark"].remedy == "apt-get install java"


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("fine\nValueError: wrong\n  File x\n----\n", "ValueError: wrong"),
        ("Exception in thread main\n\tat java.Error.f(A.java:1)\n", "Exception in thread main"),
        ("only this\n====\n", "only this"),
        ("", ""),
    ],
)
def test_the_line_that_tells_most_is_chosen(output: str, line: str) -> None:
    assert telling_line(output) == line


def test_it_reports_where_no_package_and_no_program_is_installed(
    bare_python: list[str], tmp_path: Path
) -> None:
    done = subprocess.run(
        bare_python,
        env={"PATH": str(tmp_path / "empty"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.endswith(
        "Not ready: label, openvino, xgboost, earthengine, stac. Run the command beside each. Not"
        " installed: spark, train, ranks, predict.\n"
    )
    for row in done.stdout.splitlines():
        if "missing" in row:
            assert "make setup" in row or "pip install" in row or "apt-get" in row, row


@pytest.mark.parametrize(
    ("banner", "ok", "found"),
    [
        ('openjdk version "17.0.15" 2025-04-15', True, "17.0.15"),
        ('openjdk version "21" 2023-09-19', True, "21"),
        ('java version "1.8.0_292"', False, "Spark needs 17"),
        ("something else", False, "no working java"),
    ],
)
def test_java_is_judged_by_its_version(
    banner: str, ok: bool, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "bin/java", f"echo '{banner}' >&2")
    (tmp_path / "spark-env.sh").write_text(f"JAVA_HOME={tmp_path}\n", encoding="utf-8")
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    check = components.check_java()
    assert (check.ok, found in check.found) == (ok, True), check
    assert check.remedy


def test_java_home_is_what_spark_would_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "home/bin/java", "echo 'openjdk version \"23.0.1\"'")
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert components.check_java().found == f"23.0.1, {tmp_path}/home/bin/java"
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", f"{tmp_path}/home/bin:{os.environ['PATH']}")
    assert components.check_java().found == f"23.0.1, {tmp_path}/home/bin/java"


def test_spark_without_an_activated_environment_names_the_activation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    check = components.check_spark()
    assert not check.ok
    assert check.remedy == f"source {sys.prefix}/bin/activate"


def test_in_a_clone_the_set_up_is_what_fixes_a_missing_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(components, "_version", lambda package: None)
    checks = (components.check_numba(), components.check_spark(), components.check_horovod())
    assert [check.remedy for check in checks] == ["make setup"] * 3
    monkeypatch.setattr(components, "__file__", "/site-packages/polynya/doctor/components.py")
    assert components.check_numba().remedy == "pip install numba"
    assert components.check_horovod().remedy == "make setup, in a clone of Polynya"


def test_mpi_is_not_needed_and_not_found_where_mpirun_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "mpirun", "exit 3")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    check = components.check_mpi()
    assert (check.ok, bool(check.remedy)) == (False, True)


def test_the_title_of_mpi_is_the_line_with_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "mpirun", "echo 'HYDRA build details:'; echo '    Version:  4.2.1'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert components.check_mpi().found == f"Version:  4.2.1, {tmp_path}/mpirun"


def test_gpus_beside_the_cpu_build_of_tensorflow_are_told_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "nvidia-smi", "echo 'NVIDIA T4, 15360 MiB'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    check = components.check_gpu()
    assert check.found.startswith("NVIDIA T4, 15360 MiB")
    assert check.ok or "tensorflow[and-cuda]==" in check.remedy


def test_a_horovod_whose_library_does_not_load_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, tensorflow = components._tensorflow()
    package = tmp_path / "horovod"
    (package / "tensorflow").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "metadata.json").write_text(json.dumps({"tensorflow": tensorflow}), encoding="utf-8")
    (package / "tensorflow/mpi_lib.so").write_text("not a library", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    check = components.check_horovod()
    assert (check.ok, check.remedy) == (False, "make setup")
    assert check.found.endswith("but its library doesn't load")


def test_a_horovod_built_for_another_tensorflow_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "horovod"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "metadata.json").write_text('{"tensorflow": "1.15.0"}', encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert "built for TensorFlow 1.15.0 instead of" in components.check_horovod().found


def test_open_mpi_that_refuses_root_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "mpirun", "echo 'mpirun (Open MPI) 5.0.11'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("OMPI_ALLOW_RUN_AS_ROOT", raising=False)
    check = components.check_mpi()
    assert check.ok == (os.geteuid() != 0)
    assert ("OMPI_ALLOW_RUN_AS_ROOT=1" in check.remedy) == (os.geteuid() == 0)


def horovod_of(features: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Horovod whose real library, compiled here, says that it has these features."""
    _, tensorflow = components._tensorflow()
    package = folder / "horovod"
    (package / "tensorflow").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "metadata.json").write_text(json.dumps({"tensorflow": tensorflow}), encoding="utf-8")
    code = "".join(
        f"int horovod_{name}_built() {{ return {int(name in features)}; }}\n"
        for name in ("gloo", "mpi", "nccl")
    )
    (folder / "library.c").write_text(code, encoding="utf-8")
    library = package / "tensorflow/mpi_lib.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, folder / "library.c"], check=True)
    monkeypatch.syspath_prepend(folder)


def test_a_cpu_build_of_horovod_is_told_from_an_nccl_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = components.check_horovod().found
    assert "CPU build (gradients of GPUs would go through the processors' memory)" in ours
    assert ours.endswith("controllers: Gloo and MPI")
    horovod_of("gloo nccl", tmp_path, monkeypatch)
    check = components.check_horovod()
    assert check.ok
    assert check.found.endswith("NCCL build (gradients go from GPU to GPU), controllers: Gloo")


@pytest.mark.parametrize("features", ["gloo mpi", "gloo mpi nccl"])
def test_gpus_beside_a_cpu_build_of_horovod_are_a_warning(
    features: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    horovod_of(features, tmp_path, monkeypatch)
    executable(tmp_path / "bin/nvidia-smi", "echo 'NVIDIA A100-SXM4-80GB, 81920 MiB'")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(components, "_tensorflow", lambda: ("tensorflow", "2.21.0"))
    check = components.check_gpu()
    if "nccl" in features:
        assert (check.ok, check.found) == (True, "NVIDIA A100-SXM4-80GB, 81920 MiB")
    else:
        assert not check.ok
        assert "but Horovod is a CPU build" in check.found
        assert check.remedy == "HOROVOD_GPU_OPERATIONS=NCCL make setup"
