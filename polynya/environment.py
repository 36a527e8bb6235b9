"""What other projects, notebooks and machines leave in the environment, and what of it counts here.

What Polynya does is said by its recipe and its options. A variable that another program needs must
not change a map or keep a command from starting. So every process begins here: commands with
`settle_process`, libraries with the function of the package that they are about to import.

Spark's Java has an environment of its own, which is settled before it starts: `spark-env.sh`, which
`make setup` puts beside Spark, evaluates what `print_spark_environment` prints.
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
"""Where conda and other GDALs keep their files. Those of another version give wrong or no CRS."""

_GDAL_READING = (
    "GDAL_GEOREF_SOURCES", "GTIFF_SRS_SOURCE", "GTIFF_IMPORT_FROM_EPSG", "GDAL_SKIP",
    "GDAL_PAM_PROXY_DIR", "GDAL_PAM_MODE", "GDAL_GCPS_TO_GEOTRANSFORM_APPROX_OK",
    "GDAL_GCPS_TO_GEOTRANSFORM_APPROX_THRESHOLD", "OSR_DEFAULT_AXIS_MAPPING_STRATEGY",
    "OSR_ADD_TOWGS84_ON_IMPORT_FROM_EPSG", "OSR_STRIP_TOWGS84", "OSR_CT_USE_DEFAULT_EPSG_TOWGS84",
    "USE_RRD", "GDAL_USE_GEOJP2", "GDAL_USE_GMLJP2", "GTIFF_ALPHA",
)  # fmt: skip
"""They change what GDAL reads from the same files: where a scene lies, its CRS, its nodata."""

_KERAS = {
    "KERAS_BACKEND": "tensorflow",  # Horovod, the input and the checkpoints are TensorFlow's.
    "KERAS_HOME": os.devnull,  # Holds no keras.json: float32, channels last, epsilon 1e-7.
}
"""What training and prediction need, whatever other projects have set."""

_IGNORED = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED", "MATPLOTLIBRC")
"""Settings of other programs that Polynya doesn't heed; some end an import where they are wrong."""

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
    """The variables as this process has found them, before they were settled."""
    return dict(_FOUND or os.environ)


def settle_process(*, worker: bool = False) -> None:
    """Make this process, and those that it starts, independent of settings of other programs.

    Every command calls it before it imports anything else; so do workers that others start.

    Args:
        worker: Of another program: it goes on as it was started, and says nothing.
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
        # Packages warn of each other's future; that ends nothing.
        warnings.simplefilter("default")
        os.environ.pop("PYTHONWARNINGS", None)
    if not worker and sys.stderr is not None:
        sys.stderr.write("".join(f"{note}\n" for note in notes))


def _use_utf8() -> None:
    """Names of files are UTF-8 for GDAL, so they must be for Python; printing never fails."""
    named_otherwise = sys.getfilesystemencoding().lower().replace("-", "") != "utf8"
    begun = sys.flags.ignore_environment or os.environ.get("PYTHONUTF8") == "1"
    # Python decides it when it starts. A rank of MPI has said already that it is there.
    if named_otherwise and not begun and "mpi4py" not in sys.modules:
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def drop_unusable(environment: MutableMapping[str, str]) -> list[str]:
    """Take out variables whose value no program could use, and those that Polynya doesn't heed.

    Returns:
        A sentence for each that the user may have meant.
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
                # What a terminal says of its size is nobody's wish.
                if value and name not in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
                    notes.append(f"Note: {name}={value} {trouble}, so it is not used.")
    if tempfile.tempdir is None or not os.path.isdir(tempfile.tempdir):
        tempfile.tempdir = None  # Asked again, now without those.
    return notes


def settle_geodata(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let GDAL and PROJ use their own files where the installed packages bring them.

    Packages of conda and of Linux bring none; there the variables are theirs, and stay. It must be
    called before rasterio is imported, which reads them once. Other settings of GDAL that change
    what is read from a file don't count either.
    """
    for name in _GDAL_READING:
        environment.pop(name, None)
    spec = find_spec("rasterio")
    if spec and spec.origin and (Path(spec.origin).parent / "proj_data" / "proj.db").is_file():
        for name in _GEODATA:
            environment.pop(name, None)


def settle_keras(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the back end and the defaults of Keras; before it is imported. It imports matplotlib."""
    settle_matplotlib(environment)
    for name in _IGNORED:
        environment.pop(name, None)
    environment.update(_KERAS)
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def settle_matplotlib(environment: MutableMapping[str, str] = os.environ) -> None:
    """Keep an import of matplotlib from failing or warning; before it is imported.

    Notebooks name a back end that only their own Python has, and homes may be read-only.
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
    """A folder for what can be made again, in which only this user writes.

    POLYNYA_CACHE, then XDG_CACHE_HOME, ~/.cache, and a folder of this user among temporary files.

    Args:
        name: Of the folder.
        environment: Variables.

    Returns:
        The folder, made; None where nothing can be written.
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
    """The command that installs an extra of setup.cfg for this Python.

    Polynya is on no index, so a clone is named by its folder. Where a wheel was installed, pip
    finds Polynya in place and adds what the extra needs.

    Args:
        extra: As in `[options.extras_require]`.
        more: Other packages that are needed with it.
    """
    clone = Path(__file__).resolve().parents[1]
    place = str(clone) if (clone / "setup.cfg").is_file() else "polynya"
    words = " ".join([f"'{place}[{extra}]'", *more])
    return f"{shlex.quote(sys.executable)} -m pip install {words}"


def has_known_name() -> bool:
    """Whether this machine's name has an address; laptops away from their network have none."""
    try:
        return bool(socket.getaddrinfo(socket.gethostname(), None))
    except OSError:
        return False


def spark_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables that Spark's Java lacks on this machine; empty where all is well.

    They must be there before Java starts.

    Args:
        environment: Variables; what the user has set stays.
    """
    lacking: dict[str, str] = {}
    if not {"SPARK_LOCAL_HOSTNAME", "SPARK_LOCAL_IP"} & set(environment):
        # Where nobody knows the machine's name, nobody can be meant to reach it by that.
        lacking |= {} if has_known_name() else {"SPARK_LOCAL_HOSTNAME": "localhost"}
    if _user() is None:
        # Hadoop asks the system for a name, Ivy for a home, and both end Java without it.
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
    """Print `spark_environment` as lines for a shell."""
    for name, value in spark_environment().items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


def _find_home(environment: MutableMapping[str, str]) -> None:
    """Give a user whom the system doesn't know a name and a home, as packages ask for them."""
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
    """A folder for temporary files of this user; None where another may have prepared it."""
    try:
        folder = Path(tempfile.gettempdir()) / f"polynya-{os.geteuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    safe = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return folder if safe and not found.st_mode & 0o022 else None


def _can_make(folder: Path) -> bool:
    """Make a folder; whether it can be written by this user, and by no one else."""
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
    """A number from 1 on, or several for nested levels, as OpenMP allows."""
    return all(part.strip().isdecimal() and int(part) > 0 for part in value.split(","))


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
