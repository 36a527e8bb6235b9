"""Fetch the schemas of STAC extensions, which tests validate items and collections with.

The sites that publish them needn't be there when tests run, and no package has the schemas as its
content. But some packages of the registry carry them along, as files or as recorded answers of the
sites in their tests; requirements/stac-schemas.txt locks these packages by hash. Run in `.venv`.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import yaml

from build_horovod import cache_folder
from steps import ROOT, fail, inside_env, run, say

REQUIREMENTS = ROOT / "requirements/stac-schemas.txt"
SOURCES_FILE = "SOURCES.txt"

_STAC = "https://stac-extensions.github.io"
_EOPF = "eopf/product/stac_extensions/extensions"
_MLM = "pystac_ext_mlm", "tests/cassettes/test_mlm/test_apply.yaml"
_PROJECTION = "pystac_ext_projection", "tests/cassettes/test_projection/test_validate_proj.yaml"

SCHEMAS = {
    f"{_STAC}/classification/v2.0.0/schema.json": ("eopf", f"{_EOPF}/classification_v2.0.0.json"),
    f"{_STAC}/processing/v1.2.0/schema.json": ("eopf", f"{_EOPF}/processing_v1.2.0.json"),
    f"{_STAC}/raster/v2.0.0/schema.json": ("eopf", f"{_EOPF}/raster_v2.0.0.json"),
    f"{_STAC}/file/v2.1.0/schema.json": (
        "pystac_ext_file", "tests/cassettes/test_file/test_validate_item.yaml"
    ),
    f"{_STAC}/mlm/v1.4.0/schema.json": _MLM,
    # Two that mlm v1.4.0 refers to.
    f"{_STAC}/raster/v1.1.0/schema.json": _MLM,
    f"{_STAC}/processing/v1.1.0/schema.json": _MLM,
    f"{_STAC}/projection/v2.0.0/schema.json": _PROJECTION,
    "https://proj.org/schemas/v0.7/projjson.schema.json": _PROJECTION,
}  # fmt: skip
"""URI of each schema, and where it is: package, and file in it (JSON, or recorded answers)."""


def schema_folder() -> Path:
    """Where the schemas are kept, outside the clone; another folder for each state of this file."""
    state = hashlib.sha256(REQUIREMENTS.read_bytes() + Path(__file__).read_bytes()).hexdigest()
    return cache_folder().parent / f"stac-schemas-{state[:16]}"


def read_schemas() -> dict[str, dict[str, Any]]:
    """The schemas by URI.

    Raises:
        FileNotFoundError: They haven't been fetched.
    """
    folder = schema_folder()
    if not folder.is_dir():
        raise FileNotFoundError(f"The schemas of STAC are not in {folder}: run `make setup`.")
    return {
        f"https://{path.relative_to(folder).as_posix()}": json.loads(path.read_bytes())
        for path in sorted(folder.rglob("*.json"))
    }


def fetch(packages: Path) -> None:
    """Fetch the locked packages into a folder, as they are in the registry.

    Raises:
        SystemExit: The registry can't be reached, or has other files.
    """
    # pip asks source packages for their metadata, which the locked hatchling tells.
    as_they_are = ["--no-deps", "--no-build-isolation", "--require-hashes", "-r", REQUIREMENTS]
    run(
        [sys.executable, "-m", "pip", "download", "--quiet", *as_they_are, "-d", packages],
        "The schemas of STAC extensions could not be fetched; check the network connection and run "
        "`make setup` again.",
        env=inside_env(),
    )


def extract(packages: Path, folder: Path) -> None:
    """Write each schema of `SCHEMAS` as a file named by its URI, and where they are from.

    Args:
        packages: Folder with a wheel or a source package of each.
        folder: Gets `stac-extensions.github.io/mlm/v1.4.0/schema.json` and so on.

    Raises:
        SystemExit: A schema isn't where it should be.
    """
    notes = []
    for uri, (package, member) in SCHEMAS.items():
        (archive,) = packages.glob(f"{package}-*")
        try:
            content = _content(archive, member)
            text = content if member.endswith(".json") else _recorded(content, uri)
            schema = json.loads(text)
        except (KeyError, ValueError) as error:
            fail(f"{archive.name} has no {uri} in {member} ({error}): correct {__file__}.")
        if schema["$id"].rstrip("#") != uri:
            fail(f"{member} in {archive.name} is {schema['$id']}, not {uri}: correct {__file__}.")
        path = folder / uri.removeprefix("https://")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        notes.append(f"{uri}\n    {archive.name}: {member}\n")
    (folder / SOURCES_FILE).write_text("".join(notes), encoding="utf-8")


def _content(archive: Path, member: str) -> str:
    """A text file of a wheel, or of a source package, whose files lie in a folder of its name."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(member).decode()
    with tarfile.open(archive) as source:
        file = source.extractfile(f"{archive.name.removesuffix('.tar.gz')}/{member}")
        assert file is not None  # a folder or device, which none of the members is
        return file.read().decode()


def _recorded(recording: str, uri: str) -> str:
    """What a site answered when it was recorded (a cassette of VCR.py); redirections followed."""
    answers = {
        interaction["request"]["uri"]: interaction["response"]
        for interaction in yaml.safe_load(recording)["interactions"]
    }
    answer = answers[uri]
    while "Location" in answer["headers"]:
        (target,) = answer["headers"]["Location"]
        answer = answers[target]
    return str(answer["body"]["string"])


def main() -> None:
    """Fetch the schemas, if they aren't there."""
    folder = schema_folder()
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix="stac-schemas-", suffix=".partial", dir=folder.parent
    ) as work:
        packages, schemas = Path(work) / "packages", Path(work) / "schemas"
        fetch(packages)
        extract(packages, schemas)
        try:
            schemas.replace(folder)  # same file system: whole or not at all
        except OSError:
            if not folder.is_dir():  # by another set-up, at the same time
                raise
    say(f"Schemas of STAC extensions for tests: {len(SCHEMAS)} in {folder}")


if __name__ == "__main__":
    main()
