"""The scripts of deploy/: what they would run, what they refuse, and what their help says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from helpers.programs.deploy_clone import Clone, make_clone

DATAPROC = "dataproc/dataproc.sh"
KUBERNETES = "kubernetes/kubernetes.sh"
STANDALONE = "standalone/cluster.sh"
GOOGLE = {"PROJECT": "my-project", "BUCKET": "my-bucket"}
GCLOUD = "gcloud --project=my-project --quiet "
KUBE = {"API": "https://10.0.0.1:6443", "IMAGE": "registry/polynya:1", "CLAIM": "scenes"}
SPARK = (
    "spark.executor.memory=2g,spark.executor.memoryOverhead=10g,spark.task.maxFailures=8,"
    "spark.speculation=true,spark.speculation.quantile=0.9,spark.speculation.multiplier=2"
)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return make_clone(tmp_path)


def test_create_prints_policy_mount_script_and_a_cluster_that_deletes_itself(clone: Clone) -> None:
    assert clone.printed(DATAPROC, "create", **GOOGLE) == [
        GCLOUD + "dataproc autoscaling-policies import polynya"
        " --source=CLONE/deploy/dataproc/autoscaling.yaml --region=europe-west1",
        GCLOUD + "storage cp CLONE/deploy/dataproc/mount_bucket.sh"
        " gs://my-bucket/polynya/mount_bucket.sh",
        GCLOUD + "dataproc clusters create polynya --region=europe-west1"
        " --image-version=2.3-debian12 --master-machine-type=n2-standard-2"
        " --master-boot-disk-size=100GB --worker-machine-type=n2-highmem-4"
        " --worker-boot-disk-size=100GB --num-workers=2 --num-worker-local-ssds=0"
        " --secondary-worker-type=spot --num-secondary-workers=0"
        " --secondary-worker-boot-disk-size=100GB --num-secondary-worker-local-ssds=0"
        " --autoscaling-policy=polynya --delete-max-idle=30m --delete-max-age=12h"
        " --bucket=my-bucket --subnet=default --no-address --scopes=cloud-platform"
        " --enable-component-gateway"
        " --initialization-actions=gs://my-bucket/polynya/mount_bucket.sh"
        " --metadata=polynya-bucket=my-bucket,polynya-mount=/mnt/polynya"
        " --properties=dataproc:am.primary_only=true --labels=app=polynya",
    ]


def test_settings_of_the_environment_and_of_an_own_file_reach_the_commands(clone: Clone) -> None:
    own = clone.root / "own.env"
    text = (clone.root / "deploy/dataproc/settings.env").read_text()
    own.write_text(text.replace("CLUSTER-polynya", "CLUSTER-arctic"))
    settings = {"ZONE": "europe-west1-b", "SERVICE_ACCOUNT": "ice@x.iam", "LOCAL_SSDS": "1"}
    create = clone.printed(DATAPROC, "create", **GOOGLE, **settings, SETTINGS=str(own))[-1]
    for words in (
        "clusters create arctic ",
        "--zone=europe-west1-b ",
        "--service-account=ice@x.iam ",
        "--num-worker-local-ssds=1 ",
        "--num-secondary-worker-local-ssds=1 ",
        "--autoscaling-policy=arctic ",
    ):
        assert words in create
    deleted = clone.printed(DATAPROC, "delete", **GOOGLE, CLUSTER="x", REGION="us-east1")
    assert deleted == [
        GCLOUD + "dataproc clusters delete x --region=us-east1",
        GCLOUD + "dataproc autoscaling-policies delete x --region=us-east1",
    ]


@pytest.mark.parametrize(
    ("stage", "job"), [("label", "autolabel/job.py"), ("predict", "inference/job.py")]
)
def test_a_job_on_the_cluster_brings_its_environment_code_and_recipe(
    stage: str, job: str, clone: Clone
) -> None:
    words = ["--scenes", "/mnt/polynya/a b/*.tif", "--out", "/mnt/polynya/out"]
    copy, submit = clone.printed(DATAPROC, stage, *words, "--recipe", "my ice.yaml", **GOOGLE)
    pack = re.search(r"gs://my-bucket/polynya/packs/[0-9a-f]{16}/polynya.pex", copy)
    assert pack is not None
    assert copy == (
        GCLOUD + f"storage cp --no-clobber CLONE/runs/pack/polynya-{stage}.pex {pack[0]}"
    )
    assert submit == (
        GCLOUD + f"dataproc jobs submit pyspark CLONE/{job} --cluster=polynya"
        " --region=europe-west1 --py-files=CLONE/runs/pack/polynya.zip"
        f" '--files={pack[0]},my ice.yaml'"
        " --properties=spark.submit.deployMode=cluster,spark.pyspark.python=./polynya.pex,"
        "spark.executorEnv.PEX_ROOT=/tmp/polynya-pex,"
        "spark.yarn.appMasterEnv.PEX_ROOT=/tmp/polynya-pex,spark.yarn.maxAppAttempts=1,"
        f"spark.executor.cores=2,{SPARK} --labels=app=polynya,stage={stage}"
        " -- --scenes '/mnt/polynya/a b/*.tif' --out /mnt/polynya/out --recipe 'my ice.yaml'"
    )


def test_an_import_takes_the_environment_of_labelling(clone: Clone) -> None:
    words = ["rle", "/mnt/polynya/a b/train.csv", "--out", "/mnt/polynya/out"]
    copy, submit = clone.printed(DATAPROC, "import", *words, "--recipe", "my ice.yaml", **GOOGLE)
    assert "storage cp --no-clobber CLONE/runs/pack/polynya-label.pex " in copy
    assert "submit pyspark CLONE/autolabel/import_job.py " in submit
    assert submit.endswith(
        "--labels=app=polynya,stage=import -- rle '/mnt/polynya/a b/train.csv'"
        " --out /mnt/polynya/out --recipe 'my ice.yaml'"
    )
    batch = ["import", "rle", "gs://my-bucket/train.csv", "--out", "gs://my-bucket/out"]
    (submit,) = clone.printed(DATAPROC, *batch, "--serverless", **BATCH | {"OBJECT_STORE_MAPS": ""})
    assert "submit pyspark CLONE/autolabel/import_job.py " in submit
    (line,) = clone.printed(KUBERNETES, "import", "gym", "/data/in", "--out", "/data/out", **KUBE)
    assert " --name polynya-import " in line
    assert line.endswith("/autolabel/import_job.py gym /data/in --out /data/out")


def test_a_recipe_that_ships_goes_by_its_name(clone: Clone) -> None:
    named = ["--recipe", "ice"]
    submit = clone.printed(DATAPROC, "label", "--out", "gs://my-bucket/out", *named, **GOOGLE)[-1]
    assert submit.endswith(" -- --out gs://my-bucket/out --recipe ice")
    assert "ice.yaml" not in submit
    (line,) = clone.printed(KUBERNETES, "label", "--out", "/data/out", *named, **KUBE)
    assert line.endswith("/autolabel/job.py --out /data/out --recipe ice")


def test_shards_may_go_to_the_bucket_without_the_mount(clone: Clone) -> None:
    submit = clone.printed(DATAPROC, "label", "--out", "gs://my-bucket/shards", **GOOGLE)[-1]
    assert submit.endswith(" -- --out gs://my-bucket/shards")


BATCH = {**GOOGLE, "IMAGE": "europe-docker.pkg.dev/p/r/polynya:1", "OBJECT_STORE_MAPS": "yes"}


def test_a_serverless_batch_runs_in_the_image(clone: Clone) -> None:
    words = ["--scenes", "gs://my-bucket/a.tif", "--out", "gs://my-bucket/out"]
    (submit,) = clone.printed(DATAPROC, "label", "--serverless", *words, **BATCH)
    assert submit == (
        GCLOUD + "dataproc batches submit pyspark CLONE/autolabel/job.py --region=europe-west1"
        " --version=2.3 --container-image=europe-docker.pkg.dev/p/r/polynya:1"
        " --deps-bucket=my-bucket --subnet=default --ttl=6h"
        " --properties=spark.dynamicAllocation.maxExecutors=20,spark.executor.cores=4,"
        f"spark.driver.cores=4,{SPARK} --labels=app=polynya,stage=label"
        " -- --scenes gs://my-bucket/a.tif --out gs://my-bucket/out"
    )
    (submit,) = clone.printed(
        DATAPROC, "predict", "--serverless", *words, "--recipe", "my ice.yaml", **BATCH
    )
    assert "submit pyspark CLONE/inference/job.py " in submit
    assert " '--files=my ice.yaml' " in submit


def test_status_shows_what_costs(clone: Clone) -> None:
    clusters, jobs, batches = clone.printed(DATAPROC, "status", **GOOGLE)
    assert "dataproc clusters list --region=europe-west1 --filter=labels.app=polynya" in clusters
    assert "--state-filter=active" in jobs
    assert "state=(PENDING,RUNNING,CANCELLING)" in batches


OUT = ["--out", "/mnt/polynya/o"]


@pytest.mark.parametrize(
    ("words", "settings", "sentence"),
    [
        (["create"], {}, "The setting PROJECT is empty: set it to the id"),
        (["create"], {"PROJECT": "p"}, "The setting BUCKET is empty: set it to the name"),
        (["create"], {"PROJECT": "p", "BUCKET": "gs://b"}, "without gs:// or folder, not gs://b."),
        (["create"], GOOGLE | {"REGION": ""}, "The setting REGION is empty"),
        (["create"], GOOGLE | {"AUTOSCALING": "no.yaml"}, "There is no file no.yaml"),
        (["create"], GOOGLE | {"SETTINGS": "no.env"}, "There is no file no.env"),
        (["create", "more"], GOOGLE, "create doesn't know more; see --help."),
        ([], GOOGLE, "Say what to do"),
        (["make"], GOOGLE, "Say what to do"),
        (["label"], GOOGLE, "The job has no --out"),
        (["label", "--out"], GOOGLE, "--out needs a value"),
        (["label", "--out", "--scenes"], GOOGLE, "--out needs a value"),
        (["label", "--out", "shards"], GOOGLE, "--out shards is lost with the cluster"),
        (["label", *OUT, "--recipe", "no.yaml"], GOOGLE, "There is no file no.yaml"),
        (["label", *OUT, "--pack", "none"], GOOGLE, "There is no file none/polynya-label.pex: run"),
        (["label", "--serverless", *OUT], GOOGLE, "The setting IMAGE is empty"),
        (["label", "--serverless", *OUT], BATCH, "--out /mnt/polynya/o is lost with the batch"),
        (["predict", "--out", "gs://b/o"], GOOGLE, "This Polynya writes maps to folders only"),
        (
            ["predict", "--serverless", "--out", "gs://b/o"],
            BATCH | {"OBJECT_STORE_MAPS": "no"},
            "This Polynya writes maps to folders only",
        ),
    ],
)
def test_what_google_cloud_jobs_need_is_one_sentence_when_missing(
    words: list[str], settings: dict[str, str], sentence: str, clone: Clone
) -> None:
    assert sentence in clone.error(DATAPROC, *words, "--dry-run", **settings)


def test_a_job_or_a_pack_that_is_not_there_is_named(clone: Clone) -> None:
    (clone.root / "runs/pack/polynya.zip").unlink()
    (clone.root / "inference/job.py").unlink()
    said = clone.error(DATAPROC, "label", *OUT, **GOOGLE, PATH=f"{clone.root}:/usr/bin:/bin")
    assert said.startswith("There is no file CLONE/runs/pack/polynya.zip: run 'make pack'")
    for script, settings in ((DATAPROC, GOOGLE), (KUBERNETES, KUBE)):
        said = clone.error(script, "predict", *OUT, "--dry-run", **settings)
        assert said.startswith("There is no file CLONE/inference/job.py")


def only(folder: Path, *programs: str) -> str:
    """A PATH with these programs of the machine and nothing else."""
    folder.mkdir()
    for name in programs:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return str(folder)


def test_missing_programs_are_named(clone: Clone, tmp_path: Path) -> None:
    path = only(tmp_path / "bin", "bash", "dirname", "env")
    for script, words, settings, program in (
        (DATAPROC, ["status"], GOOGLE, "gcloud"),
        (KUBERNETES, ["status"], KUBE, "kubectl"),
        (KUBERNETES, ["label", "--out", "/data/o"], KUBE, "spark-submit"),
    ):
        said = clone.error(script, *words, **(settings | {"PATH": path}))
        assert said.startswith(f"{program} is not on PATH: ")
    said = clone.error(STANDALONE, "start", PATH=path)
    assert said == "There is no Spark: run 'make setup', or set SPARK_HOME."


@pytest.mark.parametrize(
    ("script", "words", "settings"),
    [
        (DATAPROC, ["create"], GOOGLE),
        (DATAPROC, ["label", *OUT, "--scenes", "/mnt/a 'b'/*", "--recipe", "my ice.yaml"], GOOGLE),
        (DATAPROC, ["status"], GOOGLE),
        (KUBERNETES, ["setup"], KUBE),
        (KUBERNETES, ["predict", "--out", "/data/a $b", "--scenes", "/data/*"], KUBE),
        (KUBERNETES, ["delete"], KUBE),
    ],
)
def test_what_runs_is_word_for_word_what_a_dry_run_prints(
    script: str, words: list[str], settings: dict[str, str], clone: Clone, tmp_path: Path
) -> None:
    dry = clone.run(script, *words, "--dry-run", **settings).stdout
    log, programs = tmp_path / "log", tmp_path / "bin"
    programs.mkdir()
    for name in ("gcloud", "kubectl", "spark-submit"):
        (programs / name).write_text(
            f'#!/bin/sh\nfor w in {name} "$@"; do printf \'%s\\0\' "$w"; done >>{log}\n'
            f"printf '\\n' >>{log}\n"
        )
        (programs / name).chmod(0o755)
    done = clone.run(script, *words, **settings, PATH=f"{programs}:/usr/bin:/bin")
    assert done.returncode == 0, done.stderr
    ran = [line.split("\0")[:-1] for line in log.read_text().splitlines()]
    assert ran == [shlex.split(line) for line in dry.splitlines()]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gcloud"), reason="the Google Cloud CLI is not installed")
def test_the_google_cloud_cli_knows_every_command_and_option(clone: Clone, tmp_path: Path) -> None:
    lines = clone.printed(DATAPROC, "create", **GOOGLE, ZONE="europe-west1-b", LOCAL_SSDS="1")
    lines += clone.printed(DATAPROC, "label", *OUT, "--recipe", "my ice.yaml", **GOOGLE)
    batch = ["label", "--serverless", "--out", "gs://my-bucket/o", "--recipe", "my ice.yaml"]
    lines += clone.printed(DATAPROC, *batch, **BATCH, SERVICE_ACCOUNT="ice@x.iam")
    lines += clone.printed(DATAPROC, "status", **GOOGLE)
    lines += clone.printed(DATAPROC, "delete", **GOOGLE)
    # Nobody is logged in there, and nothing goes out: the CLI ends once it has read the words.
    away = {
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
    }
    for line in lines:
        words = shlex.split(line.replace("CLONE", str(clone.root)))
        done = subprocess.run(
            words, env=away, cwd=clone.root, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, (line, done.stderr)
        assert "do not currently have an active account" in done.stderr, (line, done.stderr)


def test_kubernetes_jobs_are_submitted_with_template_volume_and_account(clone: Clone) -> None:
    words = ["--scenes", "/data/s/*.tif", "--out", "/data/out", "--recipe", "/data/ice.yaml"]
    (line,) = clone.printed(KUBERNETES, "label", *words, **KUBE, EXECUTORS="9", NAMESPACE="ice")
    volumes = " ".join(
        f"--conf spark.kubernetes.{role}.volumes.persistentVolumeClaim.data.{option}"
        for role in ("driver", "executor")
        for option in ("options.claimName=scenes", "mount.path=/data")
    )
    settings = " ".join(f"--conf {setting}" for setting in SPARK.split(","))
    assert line == (
        "spark-submit --master k8s://https://10.0.0.1:6443 --deploy-mode cluster"
        " --name polynya-label --conf spark.kubernetes.namespace=ice"
        " --conf spark.kubernetes.container.image=registry/polynya:1"
        " --conf spark.kubernetes.authenticate.driver.serviceAccountName=polynya"
        " --conf spark.kubernetes.driver.podTemplateFile=CLONE/deploy/kubernetes/pod.yaml"
        " --conf spark.kubernetes.executor.podTemplateFile=CLONE/deploy/kubernetes/pod.yaml"
        f" --conf spark.executor.instances=9 --conf spark.executor.cores=2 {settings} {volumes}"
        " local:///opt/polynya/lib/python3.11/site-packages/autolabel/job.py"
        " --scenes '/data/s/*.tif' --out /data/out --recipe /data/ice.yaml"
    )
    assert clone.printed(KUBERNETES, "setup", **KUBE) == [
        "kubectl --namespace=default apply --filename CLONE/deploy/kubernetes/access.yaml"
    ]
    for command, words in (("status", "get pods"), ("delete", "delete jobs,pods")):
        assert clone.printed(KUBERNETES, command, **KUBE) == [
            f"kubectl --namespace=default {words} --selector app=polynya"
        ]


@pytest.mark.parametrize(
    ("words", "settings", "sentence"),
    [
        (["label"], {}, "The setting API is empty"),
        (["label"], KUBE | {"IMAGE": ""}, "The setting IMAGE is empty"),
        (["label"], KUBE | {"CLAIM": ""}, "The setting CLAIM is empty"),
        (["label"], KUBE, "The job has no --out"),
        (["label", "--out", "x"], KUBE, "--out x isn't on the volume: name a place below /data."),
        (["label", "--recipe", "ice.yaml"], KUBE, "--recipe ice.yaml isn't on the volume"),
        (["setup", "--out"], KUBE, "setup doesn't know --out"),
        ([], KUBE, "Say what to do"),
    ],
)
def test_what_kubernetes_jobs_need_is_one_sentence_when_missing(
    words: list[str], settings: dict[str, str], sentence: str, clone: Clone
) -> None:
    assert sentence in clone.error(KUBERNETES, *words, "--dry-run", **settings)


@pytest.mark.parametrize(
    ("words", "settings", "sentence"),
    [
        ([], {}, "Say what to do"),
        (["join", "here"], {}, "Say what to do"),
        (["start"], {"WORKERS": "0"}, "WORKERS is a number from 1 on, not '0'."),
        (["start"], {"STATE": "/a b"}, "Spark can't take the blank in STATE=/a b."),
        (["start"], {"SPARK_HOME": "/none"}, "There is no file /none/bin/spark-class"),
    ],
)
def test_what_an_own_cluster_needs_is_one_sentence_when_missing(
    words: list[str], settings: dict[str, str], sentence: str, clone: Clone
) -> None:
    assert sentence in clone.error(STANDALONE, *words, "--dry-run", **settings)


def test_an_own_cluster_prints_its_master_and_workers(clone: Clone) -> None:
    (clone.root / "bin").mkdir()
    (clone.root / "bin/spark-class").touch()
    settings = {"SPARK_HOME": str(clone.root), "WORKERS": "2", "CORES": "3", "PORT": "7"}
    mark = "-Dpolynya.cluster=CLONE/runs/spark -Dspark.worker.cleanup.enabled=true"
    spark = f"env 'SPARK_DAEMON_JAVA_OPTS={mark}' CLONE/bin/spark-class org.apache.spark.deploy."
    workers = [
        spark + f"worker.Worker --host localhost --cores 3 --memory 4g --webui-port 0"
        f" --work-dir CLONE/runs/spark/work-{number} spark://"
        for number in (1, 2)
    ]
    made = ["mkdir -p CLONE/runs/spark"]
    assert clone.printed(STANDALONE, "start", **settings) == [
        *made,
        spark + "master.Master --host localhost --port 7 --webui-port 8080",
        *(worker + "localhost:7" for worker in workers),
    ]
    assert clone.printed(STANDALONE, "join", "spark://ice:7", **settings) == [
        *made,
        *(worker + "ice:7" for worker in workers),
    ]
    assert clone.printed(STANDALONE, "stop", **settings) == []


@pytest.mark.parametrize("script", [DATAPROC, KUBERNETES, STANDALONE])
def test_help_names_every_command(script: str, clone: Clone) -> None:
    text = clone.run(script, "--help").stdout
    assert "--dry-run" in text
    assert text.count(Path(script).name) >= 4
    assert "#" not in text
    assert "shellcheck" not in text
