"""Where training runs: Slurm and the CUDA image. What would be submitted, and what a job starts."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from helpers.programs.deploy_clone import BIN, ROOT, Clone, make_clone

SLURM = "slurm/slurm.sh"
JOB = ["--shards", "/data/shards", "--out", "/data/model"]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = make_clone(tmp_path)
    (made.root / ".venv/bin").mkdir(parents=True)
    (made.root / ".venv/bin/activate").write_text("")
    return made


def test_a_training_is_submitted_with_its_size_and_warned_before_its_end(clone: Clone) -> None:
    assert clone.printed(SLURM, "train", *JOB, "--recipe", "my ice.yaml") == [
        "mkdir -p CLONE/runs/slurm",
        "sbatch --job-name=polynya --nodes=1 --ntasks-per-node=8 --cpus-per-task=8"
        " --gpus-per-node=8 --time=12:00:00 --requeue"
        " --output=CLONE/runs/slurm/%x-%j.txt"
        " --export=ALL,LAUNCHER=srun,ENVIRONMENT=CLONE/.venv,CLONE=CLONE --signal=B:USR1@300"
        " CLONE/deploy/slurm/train.sbatch --shards /data/shards --out /data/model"
        " --recipe 'my ice.yaml'",
    ]


def test_a_training_may_name_a_recipe_that_ships(clone: Clone) -> None:
    assert clone.printed(SLURM, "train", *JOB, "--recipe", "ice")[-1].endswith(" --recipe ice")


def test_settings_of_slurm_reach_the_command(clone: Clone) -> None:
    sizes = {"NODES": "4", "RANKS_PER_NODE": "2", "GPUS_PER_NODE": "0", "CPUS_PER_RANK": "32"}
    names = {"PARTITION": "ice", "ACCOUNT": "polar", "MEMORY_PER_NODE": "200G", "JOB_NAME": "x"}
    more = {"LAUNCHER": "mpirun", "LOGS": "/logs", "TIME_LIMIT": "60", "WARN_SECONDS": "9"}
    line = clone.printed(SLURM, "train", *JOB, **sizes, **names, **more)[-1]
    assert line.startswith(
        "sbatch --job-name=x --partition=ice --account=polar --nodes=4 --ntasks-per-node=2"
        " --cpus-per-task=32 --mem=200G --time=60 --requeue"
        " --output=/logs/%x-%j.txt --export=ALL,LAUNCHER=mpirun,"
    )
    assert " --signal=B:USR1@9 " in line
    horovodrun = clone.printed(SLURM, "train", *JOB, LAUNCHER="horovodrun")[-1]
    assert "--signal" not in horovodrun  # It would end there, and its ranks with it.
    assert clone.printed(SLURM, "status", JOB_NAME="x") == ["squeue --me --name=x"]
    assert clone.printed(SLURM, "cancel") == ["scancel --me --name=polynya"]


@pytest.mark.parametrize(
    ("words", "settings", "sentence"),
    [
        ([], {}, "Say what to do: train, sweep, status or cancel"),
        (["status", "all"], {}, "status doesn't know all"),
        (["train"], {}, "The job has no --shards"),
        (["train", "--shards", "s"], {}, "The job has no --out"),
        (["train", *JOB, "--recipe", "no.yaml"], {}, "There is no file no.yaml"),
        (["train", *JOB], {"NODES": "two"}, "NODES is a number from 1 on, not 'two'."),
        (["train", *JOB], {"GPUS_PER_NODE": "a"}, "GPUS_PER_NODE is a number from 0 on, not 'a'."),
        (["train", *JOB], {"RANKS_PER_NODE": "4"}, "A rank trains on one GPU: set RANKS_PER_NODE"),
        (["train", *JOB], {"LAUNCHER": "dask"}, "LAUNCHER is srun, mpirun or horovodrun, not"),
        (["sweep", *JOB], {}, "The job has no study"),
        (["sweep", "no.yaml", *JOB], {}, "There is no file no.yaml: name a study"),
        (["sweep", "gym_30_models", "--out", "o"], {}, "The job has no --shards"),
        (
            ["sweep", "gym_30_models", *JOB],
            {"WORKERS": "0"},
            "WORKERS is a number from 1 on, not '0'.",
        ),
        (
            ["sweep", "gym_30_models", *JOB],
            {"GPUS_PER_WORKER": "a"},
            "GPUS_PER_WORKER is a number from 0",
        ),
        (["train", *JOB], {"ENVIRONMENT": "/no"}, "There is no file /no/bin/activate: run 'make"),
    ],
)
def test_what_slurm_jobs_need_is_one_sentence_when_missing(
    words: list[str], settings: dict[str, str], sentence: str, clone: Clone
) -> None:
    assert sentence in clone.error(SLURM, *words, "--dry-run", **settings)


def recorder(folder: Path, log: Path, *programs: str) -> str:
    """A PATH on which these programs only write down their words; scontrol names two hosts."""
    folder.mkdir()
    for name in programs:
        hosts = "printf 'ice1\\nice2\\n'; exit" if name == "scontrol" else ""
        (folder / name).write_text(
            f'#!/bin/sh\n{hosts}\nfor w in {name} "$@"; do printf \'%s\\0\' "$w"; done >>{log}\n'
            f"printf '\\n' >>{log}\n"
        )
        (folder / name).chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_what_is_submitted_is_word_for_word_what_a_dry_run_prints(
    clone: Clone, tmp_path: Path
) -> None:
    words = ["train", "--shards", "/data/a b/$c", "--out", "/data/m"]
    printed = clone.run(SLURM, *words, "--dry-run").stdout.splitlines()[-1]
    path = recorder(tmp_path / "bin", tmp_path / "log", "sbatch")
    done = clone.run(SLURM, *words, PATH=path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log").read_text().split("\0")[:-1] == shlex.split(printed)
    assert (clone.root / "runs/slurm").is_dir()
    said = clone.error(SLURM, *words)
    assert said.startswith("sbatch is not on PATH: run this on a login node")


def test_workers_of_a_sweep_are_an_array_on_slurm(clone: Clone, tmp_path: Path) -> None:
    words = ["sweep", "gym_30_models", *JOB, "--set", "training.epochs=2"]
    assert clone.printed(SLURM, *words, WORKERS="3", GPUS_PER_WORKER="0")[-1] == (
        "sbatch --job-name=polynya --array=1-3 --nodes=1 --ntasks=1 --cpus-per-task=8"
        " --time=12:00:00 --requeue --output=CLONE/runs/slurm/%x-%A-%a.txt"
        " --export=ALL,ENVIRONMENT=CLONE/.venv,CLONE=CLONE --signal=B:USR1@300"
        f" CLONE/deploy/slurm/sweep.sbatch {shlex.join(words[1:])}"
    )
    assert " --gpus=1 " in clone.printed(SLURM, *words)[-1]
    path = recorder(tmp_path / "bin", tmp_path / "log", "polynya")
    task = {"PATH": path, "CLONE": str(clone.root), "ENVIRONMENT": str(clone.root / ".venv")}
    done = clone.run_with(task, "slurm/sweep.sbatch", *words[1:])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log").read_text().split("\0")[:-1] == ["polynya", *words]


KUBERNETES = "kubernetes/kubernetes.sh"
KUBE = {"IMAGE": "registry/polynya:1", "CLAIM": "tiles"}


def test_workers_of_a_sweep_are_a_job_on_kubernetes(clone: Clone, tmp_path: Path) -> None:
    words = ["sweep", "/data/my study.yaml", "--shards", "/data/s", "--out", "/data/o"]
    words += ["--set", 'model.filters=[2, "4\\5"]']
    first, *manifest = clone.printed(KUBERNETES, *words, WORKERS="3", **KUBE)
    assert first == "kubectl --namespace=default create --filename=-"
    job = yaml.safe_load("\n".join(manifest))
    kubernetes_validate.validate(job, "1.31", strict=True)
    (worker,) = job["spec"]["template"]["spec"]["containers"]
    assert worker["args"] == ["polynya", *words]
    assert worker["image"] == "registry/polynya:1"
    assert job["spec"]["parallelism"] == job["spec"]["completions"] == 3
    path = recorder(tmp_path / "bin", tmp_path / "log", "kubectl")
    assert clone.run(KUBERNETES, *words, PATH=path, **KUBE).returncode == 0
    assert shlex.join((tmp_path / "log").read_text().split("\0")[:-1]) == first


@pytest.mark.parametrize(
    ("words", "settings", "sentence"),
    [
        ([], {}, "The job has no study"),
        (["no.yaml", "--shards", "/data/s"], {}, "The study no.yaml isn't on the volume"),
        (
            ["gym_30_models", "--shards", "s"],
            {},
            "--shards s isn't on the volume: name a place below /data",
        ),
        (["gym_30_models", "--shards", "/data/s"], {}, "The job has no --out"),
        (["gym_30_models"], {"IMAGE": "a b"}, "The setting IMAGE is 'a b'"),
        (
            ["gym_30_models"],
            {"WORKERS": "x"},
            "The setting WORKERS is a number from 1 on, not 'x'.",
        ),
    ],
)
def test_what_a_sweep_on_kubernetes_needs_is_one_sentence_when_missing(
    words: list[str], settings: dict[str, str], sentence: str, clone: Clone
) -> None:
    assert sentence in clone.error(KUBERNETES, "sweep", *words, "--dry-run", **{**KUBE, **settings})


TRAIN = ["python", "training/train.py", *JOB]


@pytest.mark.parametrize(
    ("launcher", "restarts", "started"),
    [
        (
            "srun",
            "0",
            ["srun", "--mpi=pmix", "--cpu-bind=none", "--cpus-per-task=8",
             "--kill-on-bad-exit=1", *TRAIN],
        ),
        (
            "mpirun",
            "1",
            ["mpirun", "-np", "16", "--bind-to", "none", "--map-by", "slot", *TRAIN, "--resume"],
        ),
        (
            "horovodrun",
            "0",
            ["horovodrun", "--gloo", "-np", "16", "-H", "ice1:8,ice2:8", *TRAIN],
        ),
    ],
)  # fmt: skip
def test_a_job_starts_its_ranks_by_the_launcher_and_goes_on_after_a_restart(
    launcher: str, restarts: str, started: list[str], clone: Clone, tmp_path: Path
) -> None:
    path = recorder(tmp_path / "bin", tmp_path / "log", launcher, "scontrol")
    environment = {
        "PATH": path,
        "CLONE": str(clone.root),
        "ENVIRONMENT": str(clone.root / ".venv"),
        "LAUNCHER": launcher,
        "SLURM_NTASKS": "16",
        "SLURM_CPUS_PER_TASK": "8",
        "SLURM_JOB_NODELIST": "ice[1-2]",
        "SLURM_RESTART_COUNT": restarts,
    }
    done = clone.run_with(environment, "slurm/train.sbatch", *JOB)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log").read_text().split("\0")[:-1] == started


def test_every_setting_of_slurm_is_used_and_documented() -> None:
    code = (ROOT / "deploy/slurm/slurm.sh").read_text()
    lines = (ROOT / "deploy/slurm/settings.env").read_text().splitlines()
    settings = [line for line in lines if line and not line.startswith("#")]
    for line in settings:
        found = re.fullmatch(r"([A-Z_]+)=\$\{(\1)-[^}]*\}( +#.+)?", line)
        assert found is not None, line
        assert re.search(rf"\$\{{?{found[1]}\b", code), line
    assert len(settings) >= 9


def test_help_of_slurm_names_every_command(clone: Clone) -> None:
    text = clone.run(SLURM, "--help").stdout
    assert "--dry-run" in text
    assert text.count("slurm.sh") >= 3


def test_the_cuda_image_has_the_locked_versions() -> None:
    def versions(file: str) -> dict[str, str]:
        text = (ROOT / "requirements" / file).read_text()
        return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))

    locked, cuda = versions("lock.txt"), versions("cuda.txt")
    assert cuda.pop("tensorflow") == locked["tensorflow-cpu"]
    only_cuda = cuda.keys() - locked.keys()
    assert all(name.startswith("nvidia-") for name in only_cuda)
    assert "nvidia-nccl-cu12" in only_cuda
    assert {name: cuda[name] for name in cuda.keys() - only_cuda}.items() <= locked.items()


def test_linters_find_nothing_in_slurm_scripts_and_the_cuda_image() -> None:
    scripts = [
        ROOT / "deploy/slurm" / name
        for name in ("slurm.sh", "train.sbatch", "sweep.sbatch", "settings.env")
    ]
    check = [BIN / "shellcheck", "--external-sources", "--source-path=SCRIPTDIR", *scripts]
    for words in (check, [BIN / "hadolint", ROOT / "deploy/container/Dockerfile.cuda"]):
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ)
        assert done.returncode == 0, done.stdout


def test_the_image_gets_all_that_it_copies() -> None:
    folder = ROOT / "deploy/container"
    text = (folder / "Dockerfile.cuda").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    sources = [word for line in copied for word in line.split()]
    sent = (folder / "Dockerfile.cuda.dockerignore").read_text().splitlines()
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(line.startswith(f"!{source}") for line in sent), source
