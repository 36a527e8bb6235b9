"""Object stores: GDAL's names for URIs, lists of objects, and reading of small objects.

GDAL's virtual file systems read pixels; pyarrow's file systems read listings and metadata. Both
take credentials from the environment, as described in their documentation:
https://gdal.org/user/virtual_file_systems.html, https://arrow.apache.org/docs/python/filesystems.html
"""

from __future__ import annotations

import fnmatch
import os
import queue
import re
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit
from urllib.request import Request, urlopen

from polynya.errors import SceneError, reason_of

_VSI = {"s3": "/vsis3/", "gs": "/vsigs/", "http": "/vsicurl/", "https": "/vsicurl/"}
_STORES = {"/vsis3/": "s3", "/vsigs/": "gs"}
_LISTABLE = ("s3://", "gs://")
_GLOB = re.compile(r"[*?\[]")
CONNECT_SECONDS = 10
"""Seconds until a server must accept a connection."""
SILENT_SECONDS = 10
"""Seconds without an answer after which a request is given up."""
REQUEST_SECONDS = 90
"""Seconds for one complete request."""
_ATTEMPTS = 3
_answered: set[str] = set()
T = TypeVar("T")
_REMEDY = "check the address and the credentials in the environment (docs/scenes.md)"


def gdal_path(uri: str) -> str:
    """GDAL's name of a path or URI; local paths become absolute, so that any worker can open them.

    Args:
        uri: Path, /vsi path, or a URI of s3, gs, http, https or file.
    """
    scheme, separator, rest = uri.partition("://")
    if separator and scheme in _VSI:
        return _VSI[scheme] + (uri if scheme.startswith("http") else rest)
    if scheme == "file" and separator:
        return _path_of_uri(rest)
    if separator or uri.startswith("/vsi"):
        return uri
    return os.path.abspath(uri)


def _path_of_uri(rest: str) -> str:
    """Path of a file URI (RFC 8089) without its scheme; the path may be percent-encoded or not."""
    path = rest.removeprefix("localhost")
    decoded = os.fsdecode(unquote_to_bytes(path))
    return path if os.path.exists(path) and not os.path.exists(decoded) else decoded


def encodable(uri: str) -> str:
    """Path or URI in a form that tables, JSON, terminals and `gdal_path` accept.

    File names on Linux are bytes. A name with bytes that are not UTF-8, or with characters that
    can't be seen, becomes a file URI.
    """
    if uri.isprintable() or "://" in uri or uri.startswith("/vsi"):
        return uri
    return "file://" + quote(os.fsencode(os.path.abspath(uri)))


def signed_path(url: str, collection: str) -> str:
    """GDAL path of a file that needs read tokens, such as the tokens of Planetary Computer.

    When GDAL opens the file, it requests the collection's token from VSICURL_PC_SAS_TOKEN_URL
    (default: Planetary Computer's address), and again when the token has expired. So the path
    itself contains no token.
    """
    return f"/vsicurl?pc_url_signing=yes&pc_collection={collection}&url={quote(url, safe='')}"


def is_remote(path: str) -> bool:
    """Whether a GDAL path may be on another machine, or may refer to files there."""
    return path.startswith("/vsi") or path.lower().endswith(".vrt")


def gdal_options(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """GDAL settings for reading remote files, without settings that the environment has.

    A request is sent again after a temporary failure. A server that sends nothing or almost nothing
    is given up. GDAL doesn't list folders of servers to find side files. GDAL also uses the
    variables AWS_ENDPOINT_URL and STORAGE_EMULATOR_HOST, with which SDKs choose another server than
    the cloud's standard server.
    """
    options: dict[str, Any] = {
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_HTTP_MAX_RETRY": "4",
        "GDAL_HTTP_RETRY_DELAY": "1",
        # Seconds of one request: to connect, with less than 1000 bytes per second, in total.
        "GDAL_HTTP_CONNECTTIMEOUT": str(CONNECT_SECONDS),
        "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
        "GDAL_HTTP_LOW_SPEED_TIME": str(SILENT_SECONDS),
        "GDAL_HTTP_TIMEOUT": str(REQUEST_SECONDS),
    }
    endpoint = _s3_endpoint(environment)
    if endpoint:
        address = urlsplit(endpoint)
        options["AWS_S3_ENDPOINT"] = address.netloc
        options["AWS_HTTPS"] = "YES" if address.scheme == "https" else "NO"
        options["AWS_VIRTUAL_HOSTING"] = "FALSE"
    emulator = environment.get("STORAGE_EMULATOR_HOST")
    if emulator:
        options["CPL_GS_ENDPOINT"] = emulator.rstrip("/") + "/"
        options["GS_NO_SIGN_REQUEST"] = "YES"
    return {key: value for key, value in options.items() if key not in environment}


def is_listing(pattern: str) -> bool:
    """Whether a URI is a prefix that ends in / or a glob, so that its objects must be listed."""
    return pattern.startswith(_LISTABLE) and (pattern.endswith("/") or bool(_GLOB.search(pattern)))


def list_objects(pattern: str, folders: bool = False) -> list[str]:
    """Sorted URIs of the objects of a prefix or glob of s3:// or gs://.

    Args:
        pattern: 'gs://bucket/prefix/' gives objects directly inside; 'gs://bucket/a/*.tif' gives
            matching objects. '*' doesn't match across folders.
        folders: Also return folders, without a / at the end; this lists all objects below.

    Raises:
        SceneError: The bucket can't be listed.
    """
    from pyarrow.fs import FileSelector, FileType

    scheme, _, path = pattern.partition("://")
    base = _GLOB.split(path, maxsplit=1)[0].rpartition("/")[0]
    wanted = (path[len(base) :].strip("/") or "*").split("/")
    # Folders are found through their objects, because few stores have entries for folders.
    selector = FileSelector(base, recursive=folders or len(wanted) > 1)
    try:
        found = answering_store(scheme, path).get_file_info(selector)
    except (OSError, ValueError) as error:
        raise SceneError(f"{pattern} can't be listed ({reason_of(error)}); {_REMEDY}.") from None
    uris = set()
    for entry in found:
        parts = entry.path[len(base) :].strip("/").split("/")
        whole = len(parts) == len(wanted)
        matches = len(parts) >= len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))
        if entry.type == FileType.File and matches and (whole or folders):
            uris.add("/".join([f"{scheme}://{base}", *parts[: len(wanted)]]))
    return sorted(uris)


def read_object(uri: str) -> bytes:
    """Content of a small local, s3:// or gs:// file; SceneError if it can't be read."""
    scheme, separator, path = uri.partition("://")
    try:
        if not separator:
            return Path(uri).read_bytes()
        with answering_store(scheme, path).open_input_stream(path) as stream:
            return bytes(stream.read())
    except (OSError, ValueError) as error:
        raise SceneError(f"{uri} can't be read ({reason_of(error)}); {_REMEDY}.") from None


def open_object(uri: str) -> Any:
    """Open a local, s3:// or gs:// file for reading bytes at any position.

    Raises:
        SceneError: The file can't be opened.
    """
    scheme, separator, path = uri.partition("://")
    try:
        if not separator:
            return Path(uri).open("rb")
        return answering_store(scheme, path).open_input_file(path)
    except (OSError, ValueError) as error:
        raise SceneError(f"{uri} can't be read ({reason_of(error)}); {_REMEDY}.") from None


def _s3_endpoint(environment: Mapping[str, str]) -> str | None:
    return environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")


def answering_store(scheme: str, path: str) -> Any:
    """File system of a scheme, after a check that its server answers.

    Google's library waits two minutes for a silent server, and this time can't be changed. So a
    thread first sends one request; the thread is abandoned if no answer comes.

    Args:
        scheme: 's3' or 'gs'.
        path: Bucket and path inside it.

    Raises:
        OSError: The server doesn't answer.
        ValueError: The scheme is neither s3 nor gs.
    """
    store, bucket = file_system(scheme), path.partition("/")[0]
    if scheme == "gs" and bucket not in _answered:
        _within(CONNECT_SECONDS + SILENT_SECONDS, lambda: store.get_file_info(bucket))
        _answered.add(bucket)
    return store


def server_headers(path: str, seconds: float = SILENT_SECONDS) -> Mapping[str, str]:
    """Headers of a file on a web server, without its content (RFC 9110, 9.3.2).

    Args:
        path: GDAL path that begins with /vsicurl/, or comes from `signed_path`.
        seconds: Time for the complete answer, also if it comes byte by byte.

    Raises:
        TimeoutError: No complete answer came in time.
        OSError: The server can't be reached, or answered with an error (HTTPError).
        ValueError: The path is no file of a web server, or the answer is not HTTP.
    """
    address = path.removeprefix("/vsicurl/")
    if path.startswith("/vsicurl?"):
        address = unquote(path.rpartition("url=")[2])
    if not address.startswith(("http://", "https://")):
        raise ValueError(f"{path} is no file of a web server")

    def ask() -> Mapping[str, str]:
        with urlopen(Request(address, method="HEAD"), timeout=seconds) as answer:
            return dict(answer.headers.items())

    try:
        return _within(seconds + 1, ask)
    except HTTPException as error:
        raise ValueError(f"the answer is not HTTP ({error!r})") from None


def answers(path: str, seconds: float) -> bool:
    """Whether the server of a remote file answers in time.

    Args:
        path: GDAL path of the file.
        seconds: Time for the answer.

    Raises:
        ConnectionError: The server can't be reached.
    """
    for prefix, scheme in _STORES.items():
        if path.startswith(prefix):
            try:
                _within(seconds, partial(file_system(scheme).get_file_info, path[len(prefix) :]))
            except TimeoutError:
                return False
            except OSError:
                pass
            return True
    try:
        server_headers(path, seconds)
    except TimeoutError:
        return False
    except (HTTPError, ValueError):
        return True
    except URLError as error:
        raise ConnectionError(str(error.reason)) from None
    except OSError:
        return False
    return True


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Result of `work`, which runs in a thread; the thread is abandoned after `seconds`.

    A thread is needed because no library can give up while headers come byte by byte.

    Raises:
        TimeoutError: The work takes longer.
    """
    result: queue.Queue[Callable[[], T]] = queue.Queue()

    def run() -> None:
        try:
            value = work()
        except (OSError, ValueError, HTTPException) as caught:
            error = caught

            def fail() -> T:
                raise error

            result.put(fail)
        else:
            result.put(lambda: value)

    threading.Thread(target=run, daemon=True).start()
    try:
        give = result.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer in {seconds:g} seconds") from None
    return give()


def file_system(scheme: str) -> Any:
    """The pyarrow file system of a scheme, with the environment's credentials.

    Raises:
        ValueError: The scheme is neither s3 nor gs.
    """
    from pyarrow import fs

    if scheme == "s3":
        endpoint = _s3_endpoint(os.environ)
        address = urlsplit(endpoint) if endpoint else None
        return fs.S3FileSystem(
            anonymous=os.environ.get("AWS_NO_SIGN_REQUEST", "NO").upper() == "YES",
            endpoint_override=address.netloc if address else None,
            scheme=address.scheme if address else None,
            connect_timeout=CONNECT_SECONDS,
            request_timeout=SILENT_SECONDS,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        )
    if scheme == "gs":
        emulator = os.environ.get("STORAGE_EMULATOR_HOST")
        address = urlsplit(emulator) if emulator else None
        return fs.GcsFileSystem(
            anonymous=bool(address) or os.environ.get("GS_NO_SIGN_REQUEST", "NO").upper() == "YES",
            endpoint_override=address.netloc if address else None,
            scheme=address.scheme if address else "https",
            retry_time_limit=timedelta(seconds=CONNECT_SECONDS + SILENT_SECONDS),
        )
    raise ValueError(f"{scheme}:// is no object store that is known")
