"""Environment variables that other projects, notebooks and machines set, and which of them count.

Only the recipe and the options decide what Polynya does. A variable for another program must not
change a map or prevent a command from starting. So every process starts here: commands call
`settle_process`; a library calls the function for the package that it is about to import.

Spark's Java has its own environment, which must be complete before Java starts. `make setup` puts
the file `spark-env.sh` beside Spark; this file evaluates the output of `print_spark_environment`.
"""

from __future__ import annotations

import os
import pwd
import shlex
import socket
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, MutableMapping
from importlib.util import find_spec
from pathlib import Path

_GEODATA = ("PROJ_LIB", "PROJ_DATA", "GDAL_DATA", "GDAL_DRIVER_PATH")
"""Folders of data files of GDAL and PROJ; files of another version give a wrong CRS or none."""

_GDAL_READING = (
    "GDAL_GEOREF_SOURCES", "GTIFF_SRS_SOURCE", "GTIFF_IMPORT_FROM_EPSG", "GDAL_SKIP",
    "GDAL_PAM_PROXY_DIR", "GDAL_PAM_MODE", "GDAL_GCPS_TO_GEOTRANSFORM_APPROX_OK",
    "GDAL_GCPS_TO_GEOTRANSFORM_APPROX_THRESHOLD", "OSR_DEFAULT_AXIS_MAPPING_STRATEGY",
    "OSR_ADD_TOWGS84_ON_IMPORT_FROM_EPSG", "OSR_STRIP_TOWGS84", "OSR_CT_USE_DEFAULT_EPSG_TOWGS84",
    "USE_RRD", "GDAL_USE_GEOJP2", "GDAL_USE_GMLJP2", "GTIFF_ALPHA",
)  # fmt: skip
"""Variables that change what GDAL reads from a file: the scene's place, CRS or nodata."""

_KERAS = {
    "KERAS_BACKEND": "tensorflow",  # Horovod, the input and the checkpoints need TensorFlow.
    "KERAS_HOME": os.devnull,  # Has no keras.json: float32, channels last, epsilon 1e-7.
}
"""Values that training and prediction need, also if other projects have set others."""

_IGNORED = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED", "MATPLOTLIBRC")
"""Settings of other programs that Polynya ignores; some make an import fail if they are wrong."""

_COUNTS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TERMINAL_WIDTH",
    "COLUMNS",
    "LINES",
)
_LEVELS = ("TF_CPP_MIN_LOG_LEVEL", "TF_CPP_MAX_VLOG_LEVEL", "TF_CPP_MIN_VLOG_LEVEL")
_FILES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
_FOLDERS = ("TMPDIR", "TEMP", "TMP")


_FOUND: dict[str, str] = {}


def found_environment() -> dict[str, str]:
    """Environment of this process before `settle_process` changed it."""
    return dict(_FOUND or os.environ)


def settle_process(*, worker: bool = False) -> None:
    """Make this process and its child processes independent of settings of other programs.

    Every command calls it before it imports anything else. Workers that other programs start also
    call it.

    Args:
        worker: True for a worker that another program (Spark) started: it does not restart itself
            and prints no notes.
    """
    _FOUND.update({} if _FOUND else os.environ)
    if not worker:
        _use_utf8()
    notes = drop_unusable(os.environ)
    settle_geodata()
    settle_keras()
    os.environ["MPLBACKEND"] = "Agg"
    _find_home(os.environ)
    if any(option.split(":")[0] in ("error", "e") for option in sys.warnoptions):
        # Packages warn about future changes of other packages; a warning must not end a command.
        warnings.simplefilter("default")
        os.environ.pop("PYTHONWARNINGS", None)
    if not worker and sys.stderr is not None:
        sys.stderr.write("".join(f"{note}\n" for note in notes))


def _use_utf8() -> None:
    """Use UTF-8 for file names, as GDAL does, and make sure that printing never fails."""
    named_otherwise = sys.getfilesystemencoding().lower().replace("-", "") != "utf8"
    begun = sys.flags.ignore_environment or os.environ.get("PYTHONUTF8") == "1"
    # Python chooses the encoding when it starts, so it must restart. A rank of MPI can't restart:
    # it has already registered with MPI.
    if named_otherwise and not begun and "mpi4py" not in sys.modules:
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def drop_unusable(environment: MutableMapping[str, str]) -> list[str]:
    """Remove variables with unusable values, and variables that Polynya ignores.

    Returns:
        A note for each removed variable that the user may have set on purpose.
    """
    for name in _IGNORED:
        environment.pop(name, None)
    rules: tuple[tuple[tuple[str, ...], Callable[[str], bool], str], ...] = (
        (_COUNTS, _is_count, "is no number from 1 on"),
        (_LEVELS, str.isdecimal, "is no number"),
        (_FILES, os.path.exists, "does not exist"),
        (_FOLDERS, _is_writable, "is no folder that can be written"),
    )
    notes = []
    for names, usable, trouble in rules:
        for name in names:
            value = environment.get(name)
            if value is not None and not usable(value):
                del environment[name]
                # A terminal sets its size by itself, so the user needs no note.
                if value and name not in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
                    notes.append(f"Note: {name}={value} {trouble}, so it is not used.")
    if tempfile.tempdir is None or not os.path.isdir(tempfile.tempdir):
        tempfile.tempdir = None  # `tempfile` searches again, without the removed variables.
    return notes


def settle_geodata(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let GDAL and PROJ use their own data files, if the installed packages contain them.

    Packages of conda and of Linux don't contain these files; they need the variables, which stay.
    Call this before rasterio is imported, because rasterio reads the variables once. It also
    removes settings of GDAL that change what is read from a file.
    """
    for name in _GDAL_READING:
        environment.pop(name, None)
    spec = find_spec("rasterio")
    if spec and spec.origin and (Path(spec.origin).parent / "proj_data" / "proj.db").is_file():
        for name in _GEODATA:
            environment.pop(name, None)


def settle_keras(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the back end and defaults of Keras before its import. Keras also imports matplotlib."""
    settle_matplotlib(environment)
    for name in _IGNORED:
        environment.pop(name, None)
    environment.update(_KERAS)
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def settle_matplotlib(environment: MutableMapping[str, str] = os.environ) -> None:
    """Prevent errors and warnings of a later import of matplotlib.

    Notebooks set a back end that only their own Python has, and home folders may be read-only.
    """
    if "matplotlib" in sys.modules:
        return
    backend = environment.get("MPLBACKEND", "")
    if backend.startswith("module://") and not _exists(backend.removeprefix("module://")):
        del environment["MPLBACKEND"]
    given = environment.get("MPLCONFIGDIR")
    if given is not None and not _is_writable(given):
        del environment["MPLCONFIGDIR"]
        given = None
    home = environment.get("XDG_CACHE_HOME") or os.path.join(_home(environment) or "/", ".cache")
    if given is None and not _can_make(Path(home) / "matplotlib"):
        folder = cache_folder("matplotlib", environment)
        if folder is not None:
            environment["MPLCONFIGDIR"] = str(folder)


def cache_folder(name: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Create a cache folder in which only this user can write.

    The first writable place counts: POLYNYA_CACHE, XDG_CACHE_HOME, ~/.cache, a private folder of
    this user among the temporary files.

    Args:
        name: Name of the folder.
        environment: Environment variables.

    Returns:
        The folder, which exists; None if no place can be written.
    """
    given, caches, home = (environment.get(k) for k in ("POLYNYA_CACHE", "XDG_CACHE_HOME", "HOME"))
    places = []
    if given:
        places.append(Path(given).absolute())
    if caches and os.path.isabs(caches):
        places.append(Path(caches) / "polynya")
    home = home or _home(environment)
    if home and os.path.isabs(home):
        places.append(Path(home) / ".cache" / "polynya")
    for place in places:
        if _can_make(place / name):
            return place / name
    private = _private_folder()
    return private / name if private is not None and _can_make(private / name) else None


def install_command(extra: str, *more: str) -> str:
    """Command that installs an extra of setup.cfg for this Python.

    Polynya is on no package index, so the command names the folder of the clone. If Polynya was
    installed from a wheel, pip finds it there and adds the packages of the extra.

    Args:
        extra: Name in `[options.extras_require]`.
        more: Other packages that the extra needs.
    """
    clone = Path(__file__).resolve().parents[1]
    place = str(clone) if (clone / "setup.cfg").is_file() else "polynya"
    words = " ".join([f"'{place}[{extra}]'", *more])
    return f"{shlex.quote(sys.executable)} -m pip install {words}"


def has_known_name() -> bool:
    """Whether this machine's name has an address; a laptop outside its network may have none."""
    try:
        return bool(socket.getaddrinfo(socket.gethostname(), None))
    except OSError:
        return False


def spark_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables that Spark's Java needs and this machine lacks; empty if none is missing.

    They must be set before Java starts.

    Args:
        environment: Environment variables; values that the user has set stay.
    """
    lacking: dict[str, str] = {}
    if not {"SPARK_LOCAL_HOSTNAME", "SPARK_LOCAL_IP"} & set(environment):
        # A name without address can't be used to reach this machine.
        lacking |= {} if has_known_name() else {"SPARK_LOCAL_HOSTNAME": "localhost"}
    if _user() is None:
        # Hadoop asks the system for a user name and Ivy for a home; without them Java ends.
        name = _name(environment)
        lacking |= {k: name for k in ("SPARK_USER", "HADOOP_USER_NAME") if k not in environment}
        home = _private_folder()
        options = environment.get("SPARK_SUBMIT_OPTS", "")
        if home is not None and "-Duser.home=" not in options:
            lacking["SPARK_SUBMIT_OPTS"] = f"{options} -Duser.home={home}".strip()
    if not {"PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"} & set(environment):
        lacking["PYSPARK_DRIVER_PYTHON"] = sys.executable
    return lacking


def print_spark_environment() -> None:
    """Print `spark_environment` as export lines for a shell."""
    for name, value in spark_environment().items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


def _find_home(environment: MutableMapping[str, str]) -> None:
    """Set a name and a home for a user that the system doesn't know, because packages need them."""
    if _user() is None:
        environment.setdefault("USER", _name(environment))
        environment.setdefault("LOGNAME", environment["USER"])
    if not environment.get("HOME") and _user() is None:
        home = _private_folder()
        if home is not None:
            environment["HOME"] = str(home)


def _user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError:
        return None


def _name(environment: Mapping[str, str]) -> str:
    return environment.get("USER") or environment.get("LOGNAME") or f"user{os.getuid()}"


def _home(environment: Mapping[str, str]) -> str | None:
    user = _user()
    return environment.get("HOME") or (user.pw_dir if user else None)


def _private_folder() -> Path | None:
    """Folder for temporary files of this user; None if another user may have created it."""
    try:
        folder = Path(tempfile.gettempdir()) / f"polynya-{os.geteuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    safe = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return folder if safe and not found.st_mode & 0o022 else None


def _can_make(folder: Path) -> bool:
    """Make a folder; return whether this user, and nobody else, can write in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
    except OSError:
        return False
    alone = found.st_uid == os.geteuid() and not found.st_mode & 0o002
    return alone and _is_writable(str(folder))


def _is_writable(folder: str) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _is_count(value: str) -> bool:
    """Whether a value is a number from 1 on, or several for nested levels, as OpenMP allows."""
    return all(part.strip().isdecimal() and int(part) > 0 for part in value.split(","))


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
