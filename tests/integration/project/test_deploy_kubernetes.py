"""The image's entry point and the Kubernetes script, with the real Spark.

There is no Kubernetes in the tests: a small local server takes what spark-submit sends to the API
server, and the entry point runs here what the pods would run.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kubernetes_validate
import pyspark
import pytest

from helpers.programs.deploy_clone import BIN, ROOT, make_clone
from helpers.programs.launch import launch

ENTRYPOINT = str(ROOT / "deploy/container/entrypoint.sh")
SPARK_HOME = str(Path(pyspark.__file__).parent)
LOCAL = {"SPARK_LOCAL_HOSTNAME": "localhost", "SPARK_LOCAL_IP": "127.0.0.1"}


@pytest.fixture
def api_server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Address of a server that keeps what is posted and gives it back as if it were made."""
    posted: list[dict[str, Any]] = []

    class Server(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or "{}")
            if self.command == "POST":
                posted.append(body)
                body["metadata"] |= {"uid": f"uid-{len(posted)}", "namespace": "ice"}
            status = 201 if self.command == "POST" else 404 if self.command == "GET" else 200
            data = json.dumps(body or {"kind": "Status", "code": status}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = answer  # noqa: N815

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", posted
    server.shutdown()
    server.server_close()


def test_spark_makes_a_pod_of_the_template_that_kubernetes_would_take(tmp_path, api_server):
    address, posted = api_server
    conf = tmp_path / "conf"
    conf.mkdir()
    # Nobody tells Spark how the job ends, so it isn't to wait for that.
    (conf / "spark-defaults.conf").write_text(
        "spark.kubernetes.submission.waitAppCompletion false\n"
    )
    settings = {"API": address, "IMAGE": "registry/polynya:1", "CLAIM": "scenes", **LOCAL}
    done = make_clone(tmp_path).run_with(
        os.environ
        | settings
        | {
            "NAMESPACE": "ice",
            "SPARK_CONF_DIR": str(conf),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "KUBECONFIG": "/dev/null",
        },
        *("kubernetes/kubernetes.sh", "label"),
        *("--scenes", "/data/scenes/*.tif", "--out", "/data/out"),
    )
    assert done.returncode == 0, done.stderr
    (pod,) = [thing for thing in posted if thing["kind"] == "Pod"]
    kubernetes_validate.validate(pod, "1.31", strict=True)
    spec = pod["spec"]
    assert pod["metadata"]["labels"]["app"] == "polynya"
    assert spec["serviceAccountName"] == "polynya"
    assert spec["securityContext"]["runAsNonRoot"] is True
    (data,) = [volume for volume in spec["volumes"] if volume["name"] == "data"]
    assert data["persistentVolumeClaim"]["claimName"] == "scenes"
    (container,) = spec["containers"]
    assert container["image"] == "registry/polynya:1"
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["data"] == "/data"
    assert mounts["spark-local-dir-1"] == "/scratch"
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert environment["SPARK_LOCAL_DIRS"] == "/scratch"
    assert container["args"][0] == "driver"
    job = "local:///opt/polynya/lib/python3.11/site-packages/autolabel/job.py"
    assert container["args"][-5:] == [
        job, "--scenes", "/data/scenes/*.tif", "--out", "/data/out",
    ]  # fmt: skip


def test_the_entry_point_starts_the_job_of_a_driver_pod(tmp_path):
    job = tmp_path / "job.py"
    job.write_text(
        "import sys\n"
        "from pyspark import SparkConf\n"
        "from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.getOrCreate()\n"
        "print(spark.range(5).count(), SparkConf().get('spark.driver.bindAddress'), sys.argv[1:])\n"
    )
    properties = tmp_path / "spark.properties"
    properties.write_text("spark.master local[1]\nspark.ui.enabled false\n")
    # In the words that Spark writes into the driver's pod.
    words = ["driver", "--properties-file", str(properties)]
    words += ["--class", "org.apache.spark.deploy.PythonRunner", f"local://{job}", "--out", "a b"]
    environment = os.environ | LOCAL
    environment |= {"SPARK_HOME": SPARK_HOME, "SPARK_DRIVER_BIND_ADDRESS": "127.0.0.1"}
    environment |= {"PYSPARK_PYTHON": sys.executable, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = launch([ENTRYPOINT, *words], cwd=tmp_path, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "5 127.0.0.1 ['--out', 'a b']" in done.stdout


def test_the_entry_point_starts_an_executor_that_calls_its_driver(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    java = Path(os.environ.get("JAVA_HOME") or _java_home())
    environment = os.environ | LOCAL
    environment |= {
        "JAVA_HOME": str(java),
        "SPARK_HOME": SPARK_HOME,
        "SPARK_DRIVER_URL": f"spark://CoarseGrainedScheduler@127.0.0.1:{port}",
        "SPARK_EXECUTOR_ID": "1",
        "SPARK_EXECUTOR_CORES": "1",
        "SPARK_EXECUTOR_MEMORY": "256m",
        "SPARK_APPLICATION_ID": "spark-1",
        "SPARK_EXECUTOR_POD_IP": "127.0.0.1",
        "SPARK_EXECUTOR_POD_NAME": "polynya-exec-1",
        "SPARK_RESOURCE_PROFILE_ID": "0",
        "SPARK_JAVA_OPT_0": "-Dspark.network.timeout=10s",
        "SPARK_JAVA_OPT_1": "-Dpolynya.words=a b",
    }
    environment.pop("SPARK_CONF_DIR", None)
    done = launch([ENTRYPOINT, "executor"], cwd=tmp_path, env=environment, timeout=120)
    # It has understood all words, and nobody listens at the driver's address.
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert f"Failed to connect to /127.0.0.1:{port}" in said, said
    assert "Unrecognized options" not in said


def test_the_entry_point_runs_commands_of_the_image(tmp_path):
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    for words, said in (
        (["polynya", "--version"], "polynya 0."),
        (["python", "-c", "print('a b')"], "a b"),
        ([], "Usage: polynya"),
    ):
        done = subprocess.run(
            [ENTRYPOINT, *words], env=environment, capture_output=True, text=True, check=True
        )
        assert said in done.stdout


def _java_home() -> Path:
    """Folder of the Java that the set-up chose: of the machine, or of the wheel in .venv."""
    found = subprocess.run(
        ["java", "-XshowSettings:properties", "-version"],
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = [line for line in found.stderr.splitlines() if "java.home =" in line]
    return Path(line.split(" = ")[1])
