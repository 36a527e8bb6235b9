"""Small trial starts of tasks: only a task that could be started is ready."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from polynya.doctor import programs
from polynya.doctor.components import Check
from polynya.environment import found_environment, has_known_name
from polynya.progress import progress

State = Literal["ready", "installed", "not ready", "not installed"]

_SECONDS = 180
"""Greatest time for one start in seconds. All starts together take about 20 on two cores."""
_LONGEST_LINE = 160


class _FailedError(Exception):
    """A started program failed.

    Args:
        found: Most informative line of its output.
        remedy: Command that fixes the problem.
    """

    def __init__(self, found: str, remedy: str = "make setup") -> None:
        super().__init__(found)
        self.remedy = remedy


@dataclass(frozen=True)
class Answer:
    """Whether this machine is ready for a task."""

    state: State
    found: str
    """How the task was started, or what is wrong."""
    remedy: str = ""
    """Command that fixes the problem."""

    @property
    def good(self) -> bool:
        return self.state in ("ready", "installed")


@dataclass
class _Runner:
    """Runs programs in a temporary folder, and ends all of them if the user interrupts."""

    folder: Path
    running: set[subprocess.Popen[str]] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: bool = False

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run a command to its end; `_FailedError` if it fails, hangs or can't be found."""
        try:
            with self.lock:
                if self.ended:
                    raise _FailedError("not started")
                # In a new session, so that its child processes end with it.
                process = subprocess.Popen(
                    list(command),
                    cwd=self.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    encoding="utf-8",
                    errors="replace",
                    start_new_session=True,
                )
                self.running.add(process)
        except OSError as error:
            raise _FailedError(f"{command[0]}: {error.strerror}") from None
        try:
            output, _ = process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            raise _FailedError(f"it has not ended after {_SECONDS} s") from None
        finally:
            self._kill(process)
            self.running.discard(process)
        if process.returncode != 0:
            raise _FailedError(telling_line(output) or f"exit code {process.returncode}")

    def end(self) -> None:
        """End all running programs."""
        with self.lock:
            self.ended = True
            for process in list(self.running):
                self._kill(process)

    def _kill(self, process: subprocess.Popen[str]) -> None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)

    def python(self, code: str, environment: Mapping[str, str], *words: str) -> None:
        self.run([sys.executable, "-c", code, *words], environment)


Start = Callable[[_Runner, Mapping[str, str]], str]
"""Function that starts a task and returns how it did so; raises `_FailedError` with the reason."""


@dataclass(frozen=True)
class Task:
    """A task of users."""

    title: str
    needs: tuple[str, ...]
    """Names of checks that must succeed before the task can start."""
    package: str
    """Name of the check that shows whether the user has installed the task."""
    start: Start
    suspects: tuple[str, ...] = ("PYTHONPATH", "LD_LIBRARY_PATH", "LD_PRELOAD")
    """Variables that may belong to another project; after a failure, a task starts without them."""


def _label(runner: _Runner, environment: Mapping[str, str]) -> str:
    code = "from polynya.cli import main; main()"
    scene = str(runner.folder / "scene.tif")
    runner.python(code, environment, "label", "--scenes", scene, "--out", _new(runner))
    return "polynya label"


def _spark(runner: _Runner, environment: Mapping[str, str]) -> str:
    submit = shutil.which("spark-submit", path=environment.get("PATH")) or "spark-submit"
    job = _folder_of("autolabel") / "job.py"
    scene = str(runner.folder / "scene.tif")
    # Always on this machine, because a cluster can't read the local scene.
    command = [submit, "--master", "local[1]", str(job), "--scenes", scene, "--out", _new(runner)]
    runner.run(command, environment)
    return f"spark-submit {job.parent.name}/{job.name}"


def _train(runner: _Runner, environment: Mapping[str, str]) -> str:
    runner.python(programs.STEP, environment)
    return "one step of a small model"


def _predict(runner: _Runner, environment: Mapping[str, str]) -> str:
    runner.python(programs.PREDICTION, environment)
    return "one batch through a small model"


def _ranks(runner: _Runner, environment: Mapping[str, str]) -> str:
    launchers = (
        ("horovodrun", "--gloo", "-np", "2"),
        ("horovodrun", "--gloo", "--disable-cache", "-np", "2"),
        ("mpirun", "-np", "2"),
    )
    troubles: list[str] = []
    for launcher in launchers:
        title = " ".join(launcher)
        try:
            runner.run([*launcher, sys.executable, "-c", programs.RANK], environment)
        except _FailedError as failure:
            troubles.append(f"{title} fails: {failure}")
        else:
            return "; ".join([title, *troubles[:1]])
    found = "; ".join([troubles[0], troubles[-1]])
    if not has_known_name():
        name = "echo 127.0.1.1 $(uname -n) | sudo tee -a /etc/hosts"
        raise _FailedError(f"nothing gives an address to this machine's name; {found}", name)
    raise _FailedError(found)


def _openvino(runner: _Runner, environment: Mapping[str, str]) -> str:
    runner.python(programs.OPENVINO, environment)
    return "OpenVINO has a processor"


def _xgboost(runner: _Runner, environment: Mapping[str, str]) -> str:
    runner.python("import xgboost; xgboost.DMatrix([[1.0]])", environment)
    return "XGBoost's library is loaded"


def _earth_engine(runner: _Runner, environment: Mapping[str, str]) -> str:
    runner.python("import ee, polynya.sources.earthengine.images", environment)
    return "the package is imported; needs an account as well (docs/scenes.md)"


def _stac(runner: _Runner, environment: Mapping[str, str]) -> str:
    runner.python("import pystac_client, polynya.sources.stac.source", environment)
    return "the package is imported"


_BASE = ("Python", "GDAL", "Numba")
_KERAS = (*_BASE, "TensorFlow", "Keras")
_OF_SPARK = (
    "SPARK_HOME",
    "SPARK_CONF_DIR",
    "SPARK_SUBMIT_OPTS",
    "PYSPARK_PYTHON",
    "PYSPARK_DRIVER_PYTHON",
    "PYSPARK_DRIVER_PYTHON_OPTS",
    "JAVA_TOOL_OPTIONS",
    "PYTHONPATH",
)

_OF_LAUNCHERS = ("MPLBACKEND", "KERAS_BACKEND", "KERAS_HOME", "PYTHONPATH", "LD_LIBRARY_PATH")
"""Suspects of launchers: `horovodrun` itself imports Keras with the user's variables."""

TASKS: Mapping[str, Task] = {
    "label": Task("label scenes", _BASE, "GDAL", _label),
    "spark": Task("label on Spark", (*_BASE, "Java", "Spark"), "Spark", _spark, _OF_SPARK),
    "train": Task("train", _KERAS, "TensorFlow", _train),
    "ranks": Task("train on many ranks", (*_KERAS, "Horovod"), "Horovod", _ranks, _OF_LAUNCHERS),
    "predict": Task("map scenes", _KERAS, "TensorFlow", _predict),
    "openvino": Task("map with OpenVINO", (*_KERAS, "OpenVINO"), "OpenVINO", _openvino),
    "xgboost": Task("train decision trees", (*_KERAS, "XGBoost"), "XGBoost", _xgboost),
    "earthengine": Task(
        "scenes of Earth Engine", (*_BASE, "Earth Engine"), "Earth Engine", _earth_engine
    ),
    "stac": Task("scenes of STAC catalogues", (*_BASE, "STAC client"), "STAC client", _stac),
}
"""Tasks of users, by their names in `polynya doctor`."""


def answers_of(
    names: Sequence[str], checks: Mapping[str, Check], *, start: bool
) -> dict[str, Answer]:
    """Find out whether this machine is ready for tasks.

    Args:
        names: Names of tasks.
        checks: Checks of installed programs and packages.
        start: True starts installed tasks; False only checks what is installed.

    Returns:
        Answers by task name, in the order of `names`.
    """
    answers: dict[str, Answer] = {}
    for name in names:
        task = TASKS[name]
        missing = [checks[need] for need in task.needs if not checks[need].ok]
        if missing:
            found = "; ".join(f"{check.name}: {check.found}" for check in missing)
            absent = checks[task.package].found == "not installed"
            state: State = "not installed" if absent else "not ready"
            answers[name] = Answer(state, found, missing[0].remedy)
        elif not start:
            answers[name] = Answer("installed", "not started")
    left = [name for name in names if name not in answers]
    if left:
        answers |= _started(left)
    return {name: answers[name] for name in names}


def _started(names: Sequence[str]) -> dict[str, Answer]:
    """Start tasks at the same time."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="polynya-doctor-", ignore_cleanup_errors=True)
    except OSError as error:
        answer = Answer("not ready", f"no folder for temporary files ({error})", "export TMPDIR=")
        return dict.fromkeys(names, answer)
    with folder as place, ThreadPoolExecutor(len(names)) as pool:
        runner = _Runner(Path(place))
        try:
            with progress("Starting each task in small", len(names) + 1) as advance:
                trouble = _write_scene(runner)
                advance(1)
                if trouble:
                    return dict.fromkeys(names, trouble)
                jobs = {pool.submit(_answer, TASKS[name], runner): name for name in names}
                answers = {}
                for job in as_completed(jobs):
                    answers[jobs[job]] = job.result()
                    advance(1)
                return answers
        finally:
            runner.end()


def _write_scene(runner: _Runner) -> Answer | None:
    """Write and read a GeoTIFF; return the problem, or None if it works."""
    start = _code_start(programs.SCENE, str(runner.folder / "scene.tif"))
    answer = _answer(Task("GDAL and PROJ", (), "GDAL", start), runner)
    return None if answer.good else answer


def _code_start(code: str, *words: str) -> Start:
    def start(runner: _Runner, environment: Mapping[str, str]) -> str:
        runner.python(code, environment, *words)
        return ""

    return start


def _answer(task: Task, runner: _Runner) -> Answer:
    environment = found_environment()
    try:
        return Answer("ready", task.start(runner, environment))
    except _FailedError as failure:
        found, remedy = str(failure), failure.remedy
    suspects = [name for name in task.suspects if name in environment]
    if suspects:
        without = {name: environment[name] for name in environment if name not in suspects}
        try:
            task.start(runner, without)
        except _FailedError:
            pass
        else:
            values = ", ".join(f"{name}={environment[name]}" for name in suspects)
            return Answer("not ready", f"{found} ({values})", f"unset {' '.join(suspects)}")
    return Answer("not ready", found, remedy)


def telling_line(output: str) -> str:
    """Most informative line in the output of a failed program."""
    lines = [line.strip() for line in output.splitlines() if re.search("[A-Za-z]", line)]
    telling = [
        line for line in lines if re.search(r"(Error|Exception|error|not found|No such)", line)
    ]
    of_frames = re.compile(r"^(at |File |\.\.\. )")
    chosen = [line for line in telling if not of_frames.match(line)] or lines
    return chosen[-1][:_LONGEST_LINE] if chosen else ""


def _folder_of(package: str) -> Path:
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else Path(package)


def _new(runner: _Runner) -> str:
    return tempfile.mkdtemp(dir=runner.folder) + "/shards"
