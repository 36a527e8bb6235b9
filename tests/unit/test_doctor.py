"""The report on this machine, with real programs, and with programs and packages taken away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from polynya import doctor


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
        (seen / "polynya").symlink_to(Path(doctor.__file__).parent)
    code = (
        f"import sys; sys.path.insert(0, {str(seen)!r})\n"
        "import typer; from polynya.doctor import doctor; typer.run(doctor)"
    )
    return [sys.executable, "-I", "-S", "-c", code]


def test_a_complete_set_up_is_ready() -> None:
    checks = {check.name: check for check in doctor.all_checks()}
    assert [name for name, check in checks.items() if check.needed and not check.ok] == []
    assert "Gloo and MPI" in checks["Horovod"].found
    assert checks["Python"].found.startswith(sys.version.split()[0])


def test_the_command_prints_every_check_and_exits_with_0() -> None:
    program = Path(sys.executable).with_name("polynya")
    done = subprocess.run([program, "doctor"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for check in doctor.all_checks():
        assert check.name in done.stdout
    for name in ("Python", "GDAL", "Numba", "Java", "Spark", "TensorFlow", "Horovod", "MPI", "GPU"):
        assert name in done.stdout
    assert "Ready" in done.stdout


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
    needed = "GDAL, Numba, Java, Spark, TensorFlow, Keras, Horovod"
    assert f"Not ready: {needed}. Run the command beside each." in done.stdout
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
    check = doctor.check_java()
    assert (check.ok, found in check.found) == (ok, True), check
    assert check.remedy


def test_java_home_is_what_spark_would_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "home/bin/java", "echo 'openjdk version \"23.0.1\"'")
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert doctor.check_java().found == f"23.0.1, {tmp_path}/home/bin/java"
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", f"{tmp_path}/home/bin:{os.environ['PATH']}")
    assert doctor.check_java().found == f"23.0.1, {tmp_path}/home/bin/java"


def test_spark_without_an_activated_environment_names_the_activation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    check = doctor.check_spark()
    assert not check.ok
    assert check.remedy == f"source {sys.prefix}/bin/activate"


def test_mpi_is_not_needed_and_not_found_where_mpirun_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "mpirun", "exit 3")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    check = doctor.check_mpi()
    assert (check.ok, check.needed, bool(check.remedy)) == (False, False, True)


def test_the_title_of_mpi_is_the_line_with_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "mpirun", "echo 'HYDRA build details:'; echo '    Version:  4.2.1'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert doctor.check_mpi().found == f"Version:  4.2.1, {tmp_path}/mpirun"


def test_gpus_beside_the_cpu_build_of_tensorflow_are_told_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "nvidia-smi", "echo 'NVIDIA T4, 15360 MiB'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    check = doctor.check_gpu()
    assert check.found.startswith("NVIDIA T4, 15360 MiB")
    assert check.ok or "tensorflow[and-cuda]==" in check.remedy


@pytest.mark.parametrize(
    ("settings", "ok", "found"),
    [
        (None, True, "back end tensorflow"),
        ({"backend": "tensorflow"}, True, "back end tensorflow"),
        ({"backend": "mxnet"}, False, "back end mxnet, which is not installed"),
        (["not", "settings"], True, "back end tensorflow"),
    ],
)
def test_the_back_end_is_the_one_of_the_settings_of_keras(
    settings: object, ok: bool, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if settings is not None:
        (tmp_path / "keras.json").write_text(json.dumps(settings), encoding="utf-8")
    check = doctor.check_keras()
    assert (check.ok, found in check.found) == (ok, True), check


def test_the_environment_decides_the_back_end_before_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "mxnet")
    assert doctor.check_keras().found.endswith("back end mxnet, which is not installed")


def test_a_horovod_whose_library_does_not_load_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, tensorflow = doctor._tensorflow()
    package = tmp_path / "horovod"
    (package / "tensorflow").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "metadata.json").write_text(json.dumps({"tensorflow": tensorflow}), encoding="utf-8")
    (package / "tensorflow/mpi_lib.so").write_text("not a library", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    check = doctor.check_horovod()
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
    assert "built for TensorFlow 1.15.0 instead of" in doctor.check_horovod().found


def test_open_mpi_that_refuses_root_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "mpirun", "echo 'mpirun (Open MPI) 5.0.11'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("OMPI_ALLOW_RUN_AS_ROOT", raising=False)
    check = doctor.check_mpi()
    assert check.ok == (os.geteuid() != 0)
    assert ("OMPI_ALLOW_RUN_AS_ROOT=1" in check.remedy) == (os.geteuid() == 0)


def horovod_of(features: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Horovod whose real library, compiled here, says that it has these features."""
    _, tensorflow = doctor._tensorflow()
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
    ours = doctor.check_horovod().found
    assert "CPU build (gradients of GPUs would go through the processors' memory)" in ours
    assert ours.endswith("controllers: Gloo and MPI")
    horovod_of("gloo nccl", tmp_path, monkeypatch)
    check = doctor.check_horovod()
    assert check.ok
    assert check.found.endswith("NCCL build (gradients go from GPU to GPU), controllers: Gloo")


@pytest.mark.parametrize("features", ["gloo mpi", "gloo mpi nccl"])
def test_gpus_beside_a_cpu_build_of_horovod_are_a_warning(
    features: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    horovod_of(features, tmp_path, monkeypatch)
    executable(tmp_path / "bin/nvidia-smi", "echo 'NVIDIA A100-SXM4-80GB, 81920 MiB'")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(doctor, "_tensorflow", lambda: ("tensorflow", "2.21.0"))
    check = doctor.check_gpu()
    assert not check.needed
    if "nccl" in features:
        assert (check.ok, check.found) == (True, "NVIDIA A100-SXM4-80GB, 81920 MiB")
    else:
        assert not check.ok
        assert "but Horovod is a CPU build" in check.found
        assert check.remedy == "HOROVOD_GPU_OPERATIONS=NCCL make setup"
