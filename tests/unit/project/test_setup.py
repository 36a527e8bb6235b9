"""What the set-up finds on a machine, with small programs in place of the machine's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import build_horovod
import machine
import stac_schemas
import steps

SETUP = Path(steps.__file__).parent


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


def program(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "usable"),
    [
        ("echo 'openjdk version \"17.0.9\"'", True),
        ("echo 'openjdk version \"21\"'", True),
        ("echo 'java version \"1.8.0_292\"'", False),
        ("echo 'openjdk version \"11.0.2\"'", False),
        ("echo 'Module jdk.incubator.vector not found'; exit 1", False),
    ],
)
def test_only_a_java_that_spark_can_start_is_taken(
    script: str, usable: bool, programs: Path
) -> None:
    java = program(programs, "java", script)
    assert machine.system_java() == (java if usable else None)


def test_java_home_comes_before_path(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "java", "echo 'openjdk version \"21\"'")
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    assert machine.system_java() is None


def test_mpi_is_taken_only_where_it_can_start_and_build(programs: Path) -> None:
    program(programs, "mpirun", "echo 'mpirun (Open MPI) 4.1.4'; echo; echo 'Report bugs'")
    program(programs, "mpicxx", "exit 1")
    assert machine.system_mpi() is None
    flags = "g++ -I/opt/mpi/include -L/opt/mpi/lib -Wl,-rpath -Wl,/opt/mpi/lib -lmpi"
    program(programs, "mpicxx", f"echo '{flags}'")
    assert machine.system_mpi() == machine.Mpi("mpirun (Open MPI) 4.1.4", ("/opt/mpi/lib",))


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        ("cmake version 3.25.1", (3, 25)),
        ("cmake version 4.1.0-rc2", (4, 1)),
        ("cmake version 3.10.2", None),
        ("no such thing", None),
    ],
)
def test_cmake_is_judged_by_its_version(
    banner: str, version: tuple[int, int] | None, programs: Path
) -> None:
    cmake = program(programs, "cmake", f"echo '{banner}'")
    assert machine.system_cmake() == (None if version is None else (cmake, version))


def test_a_compiler_that_fails_is_no_compiler(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    assert machine.cpp_compiler_works()
    monkeypatch.setenv("CXX", program(programs, "my-c++", "exit 1"))
    assert not machine.cpp_compiler_works()
    with pytest.raises(SystemExit):
        build_horovod.check_tools()


def test_the_wheel_finds_mpi_and_tensorflow_without_absolute_paths_of_a_clone() -> None:
    wheel, system = machine.Mpi("Open MPI", ()), machine.Mpi("Open MPI", ("/opt/mpi/lib",))
    (text,) = [c.new for c in build_horovod.changes(wheel) if "RPATH" in c.new]
    assert '"$ORIGIN/../../../..;$ORIGIN/../../tensorflow"' in text
    (text,) = [c.new for c in build_horovod.changes(system) if "RPATH" in c.new]
    assert '"/opt/mpi/lib;$ORIGIN/../../../..;$ORIGIN/../../tensorflow"' in text


def test_a_wheel_is_reused_only_for_the_same_mpi_and_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYNYA_CACHE", str(tmp_path))
    first, second = machine.Mpi("Open MPI 5.0.11", ()), machine.Mpi("Open MPI 4.1.4", ())
    assert build_horovod.cached_wheel(first) is None
    folder = tmp_path / "horovod" / build_horovod.cache_key(first)
    folder.mkdir(parents=True)
    (folder / "horovod-0.28.1-cp311-cp311-linux_x86_64.whl").touch()
    assert build_horovod.cached_wheel(first) is not None
    assert build_horovod.cached_wheel(second) is None
    monkeypatch.setenv("HOROVOD_LOG_LEVEL", "debug")
    assert build_horovod.cached_wheel(first) is not None
    monkeypatch.setenv("HOROVOD_GPU_OPERATIONS", "NCCL")
    assert build_horovod.cached_wheel(first) is None


def test_pip_settings_of_the_user_reach_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_HTTP_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.invalid/simple")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "7")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "9")
    env = steps.inside_env()
    assert env["UV_DEFAULT_INDEX"] == "https://packages.invalid/simple"
    assert env["UV_HTTP_TIMEOUT"] == "7"
    assert env["PATH"].split(os.pathsep)[0] == str(steps.VENV / "bin")


@pytest.mark.parametrize(("covered", "code"), [(90, 0), (80, 1)])
def test_too_few_covered_lines_end_with_an_error(covered: int, code: int, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    totals = {"covered_lines": covered, "num_statements": 100}
    totals |= {"covered_branches": 3, "num_branches": 4}
    report.write_text(json.dumps({"totals": totals}), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, SETUP / "coverage_line.py", report],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stdout == f"Coverage: {covered}.0 % of lines, 75.0 % of branches\n"


def test_each_lock_names_hashes_and_no_index() -> None:
    files = sorted((SETUP.parents[1] / "requirements").glob("*.txt"))
    assert len(files) >= 6
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert "--hash=sha256:" in text, file
        assert not re.search("https?://|--index|--extra-index", text), file


def test_schemas_come_out_of_wheels_and_of_recorded_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, moved = "https://a.invalid/x/v1/schema.json", "https://b.invalid/schema.json"
    schemas = {uri: json.dumps({"$id": f"{uri}#", "title": uri}) for uri in (plain, moved)}
    with zipfile.ZipFile(tmp_path / "plain-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("plain/x.json", schemas[plain])
    answers = [
        (moved, {"headers": {"Location": ["https://b.invalid/new"]}, "body": {"string": ""}}),
        ("https://b.invalid/new", {"headers": {}, "body": {"string": schemas[moved]}}),
    ]
    cassette = {"interactions": [{"request": {"uri": u}, "response": r} for u, r in answers]}
    (tmp_path / "tests.yaml").write_text(json.dumps(cassette), encoding="utf-8")
    with tarfile.open(tmp_path / "recorded-2.0.tar.gz", "w:gz") as source:
        source.add(tmp_path / "tests.yaml", "recorded-2.0/tests.yaml")

    places = {plain: ("plain", "plain/x.json"), moved: ("recorded", "tests.yaml")}
    monkeypatch.setattr(stac_schemas, "SCHEMAS", places)
    monkeypatch.setattr(stac_schemas, "schema_folder", lambda: tmp_path / "out")
    stac_schemas.extract(tmp_path, tmp_path / "out")
    assert stac_schemas.read_schemas() == {uri: json.loads(text) for uri, text in schemas.items()}
    assert (tmp_path / "out" / stac_schemas.SOURCES_FILE).read_text(encoding="utf-8") == (
        f"{plain}\n    plain-1.0-py3-none-any.whl: plain/x.json\n"
        f"{moved}\n    recorded-2.0.tar.gz: tests.yaml\n"
    )

    for uri, place in (
        ("https://c.invalid/schema.json", ("plain", "plain/x.json")),
        (plain, ("plain", "plain/y.json")),
        (plain, ("recorded", "tests.yaml")),
    ):
        monkeypatch.setattr(stac_schemas, "SCHEMAS", {uri: place})
        with pytest.raises(SystemExit):
            stac_schemas.extract(tmp_path, tmp_path / "more")
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("Error: ")
        assert uri in line


def test_schemas_that_are_there_are_not_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stac_schemas, "fetch", lambda packages: pytest.fail("fetched"))
    stac_schemas.main()
    assert len(stac_schemas.read_schemas()) == len(stac_schemas.SCHEMAS)


def test_schemas_that_can_not_be_fetched_are_one_sentence_and_leave_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SETUP / "stac_schemas.py"],
        env=os.environ | {"POLYNYA_CACHE": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
        | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: The schemas of STAC extensions could not be fetched; check the")
    assert not list(tmp_path.iterdir())


def test_programs_of_another_clone_are_not_the_system_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, system = tmp_path / "clone/.venv/bin", tmp_path / "usr/bin"
    for folder, text in ((other, f"#!/bin/sh\n{steps.MARK}\nexec java\n"), (system, "#!/bin/sh\n")):
        folder.mkdir(parents=True)
        (folder / "java").write_text(text)
        (folder / "java").chmod(0o755)
    monkeypatch.setenv("PATH", f"{other}:{system}")
    assert steps.outside_path() == str(system)
    # Spark takes JAVA_HOME before PATH, and activated shells may have one.
    monkeypatch.setattr(machine, "java_major", lambda program: 21)
    monkeypatch.setenv("JAVA_HOME", str(other.parent))
    assert machine.system_java() == f"{system}/java"
    monkeypatch.setenv("JAVA_HOME", str(system.parent))
    assert machine.system_java() == f"{system}/java"
