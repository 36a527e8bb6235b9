"""Find programs that the machine already has: Java for Spark, MPI and CMake for Horovod."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from steps import has_ours, output_of, outside_path

OLDEST_JAVA = 17
OLDEST_CMAKE = (3, 13)
VECTOR_OPTION = "--add-modules=jdk.incubator.vector"
"""Option with which Spark 4 starts every Java; a Java without this module ends with an error."""


@dataclass(frozen=True)
class Mpi:
    """An MPI to build Horovod with."""

    title: str
    """Name and version, from `mpirun --version`."""

    library_folders: tuple[str, ...]
    """Absolute folders of libmpi; empty for the wheel, which is in the environment itself."""


def java_major(java: str | Path) -> int | None:
    """Return the major version of a `java` program, or None if Spark can't start it."""
    text = output_of([java, VECTOR_OPTION, "-version"]) or ""
    found = re.search(r'version "(\d+)', text)
    return int(found[1]) if found else None


def system_java() -> str | None:
    """Return the `java` that Spark would start (JAVA_HOME before PATH), if it is new enough."""
    home = os.environ.get("JAVA_HOME")
    if home and has_ours(f"{home}/bin"):
        home = None
    java = f"{home}/bin/java" if home else shutil.which("java", path=outside_path())
    return java if java and (java_major(java) or 0) >= OLDEST_JAVA else None


def system_mpi() -> Mpi | None:
    """Return the MPI on PATH, if it can both start and build programs."""
    mpirun = shutil.which("mpirun", path=outside_path())
    mpicxx = shutil.which("mpicxx", path=outside_path())
    if not mpirun or not mpicxx:
        return None
    version = output_of([mpirun, "--version"])
    flags = output_of([mpicxx, "-show"])
    if not version or not flags:
        return None
    folders = re.findall(r"(?:^|\s)-L(\S+)", flags)
    folders += re.findall(r"-rpath[ ,=](?:-Wl,)?(/\S+)", flags)
    return Mpi(version.strip().splitlines()[0], tuple(dict.fromkeys(folders)))


def system_cmake() -> tuple[str, tuple[int, int]] | None:
    """Return the `cmake` on PATH and its version, if it is new enough for Horovod."""
    cmake = shutil.which("cmake", path=outside_path())
    text = output_of([cmake, "--version"]) if cmake else None
    found = re.search(r"version (\d+)\.(\d+)", text or "")
    if not cmake or not found:
        return None
    version = (int(found[1]), int(found[2]))
    return (cmake, version) if version >= OLDEST_CMAKE else None


def cpp_compiler_works() -> bool:
    """Whether the C++ compiler that CMake will use compiles C++17 with the standard library."""
    compiler = os.environ.get("CXX") or next(filter(shutil.which, ("c++", "g++", "clang++")), "c++")
    probe = Path(__file__).with_name("probe.cc")
    return output_of([*compiler.split(), "-std=c++17", "-fsyntax-only", probe]) is not None


def build_jobs() -> int:
    """Return how many compilers to run at once: one per core, and 1.5 GB of memory for each.

    TensorFlow's headers need this much memory.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)), int(memory / 1.5e9)))
