"""Files of deploy/: settings, templates and versions agree, and linters find nothing."""

from __future__ import annotations

import re
import subprocess

import kubernetes_validate
import pytest
import yaml

from helpers.programs.deploy_clone import BIN, ROOT


@pytest.mark.parametrize("script", ["dataproc", "kubernetes"])
def test_every_setting_is_used_and_documented(script: str) -> None:
    folder = ROOT / "deploy" / script
    code = (folder / f"{script}.sh").read_text()
    lines = (folder / "settings.env").read_text().splitlines()
    settings = [line for line in lines if line and not line.startswith("#")]
    for line in settings:
        found = re.fullmatch(r"([A-Z_]+)=\$\{(\1)-[^}]*\}( +#.+)?", line)
        assert found is not None, line
        assert f"${found[1]}" in code or f"need_setting {found[1]}" in code, line
    assert len(settings) >= 9


def test_kubernetes_files_follow_their_schemas() -> None:
    for file in ("access.yaml", "pod.yaml"):
        for part in yaml.safe_load_all((ROOT / "deploy/kubernetes" / file).read_text()):
            kubernetes_validate.validate(part, "1.31", strict=True)


def test_the_image_and_the_packs_have_the_locked_versions() -> None:
    def versions(file: str) -> dict[str, str]:
        text = (ROOT / "requirements" / file).read_text()
        return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))

    locked = versions("lock.txt")
    label, predict = versions("pack-label.txt"), versions("pack-predict.txt")
    image = versions("image.txt")
    assert image.items() <= locked.items()
    # A cluster brings its own Spark; labelling needs no TensorFlow.
    assert image.items() - predict.items() == {
        ("pyspark", locked["pyspark"]),
        ("py4j", locked["py4j"]),
    }
    assert label.items() <= predict.items()
    assert "tensorflow-cpu" in predict.keys() - label.keys()


def test_linters_find_nothing_in_scripts_and_dockerfile() -> None:
    scripts = [ROOT / ".ci/run", *sorted((ROOT / "deploy").rglob("*.sh"))]
    check = [BIN / "shellcheck", "--external-sources", "--source-path=SCRIPTDIR", *scripts]
    for words in (check, [BIN / "hadolint", ROOT / "deploy/container/Dockerfile"]):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
