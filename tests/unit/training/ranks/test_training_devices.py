"""What a rank takes of its machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.training.ranks import ROOT

# A block as large as a great layer's gradient, made and freed again and again.
STEPS = """
import ctypes, resource, sys
from training.ranks.devices import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
size = 96 * 2**20

def step():
    block = libc.malloc(ctypes.c_size_t(size))
    ctypes.memset(block, 1, size)
    libc.free(block)

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _page_faults(how: str) -> int:
    command = [sys.executable, "-c", STEPS, how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_freed_memory_is_there_for_the_next_step():
    # Without, the system takes it back and clears it again: 4 x 96 MiB in pages of 4 KiB or 2 MiB.
    assert _page_faults("keep") < 100 < _page_faults("leave")


# What a notebook, another project or a user's shell leaves; then what a library user imports.
SETTINGS = """
import json, sys
from pathlib import Path
if sys.argv[1] == "imported":
    import keras
try:
    from training.run.start import start_run
    from training.model_folder.folder import load_model
    from training.ranks.devices import import_tensorflow
    import_tensorflow()
    import keras
    print(keras.config.backend(), keras.config.image_data_format(), keras.config.floatx())
except Exception as error:
    print(type(error).__name__, error)
"""


def _keras_of(home: Path, how: str, settings: object, **variables: str) -> str:
    (home / ".keras").mkdir()
    (home / ".keras/keras.json").write_text(json.dumps(settings))
    kept = {k: v for k, v in os.environ.items() if not k.startswith("KERAS_")}
    done = subprocess.run(
        [sys.executable, "-c", SETTINGS, how],
        cwd=ROOT,
        env={**kept, "HOME": str(home), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "variables"),
    [
        ({"backend": "torch", "image_data_format": "channels_first"}, {"KERAS_BACKEND": "jax"}),
        ({"floatx": "float16"}, {}),
    ],
)
def test_keras_is_as_models_need_it_whatever_the_user_has_set(
    tmp_path: Path, settings: dict[str, str], variables: dict[str, str]
) -> None:
    found = _keras_of(tmp_path, "plain", settings, **variables)
    assert found == "tensorflow channels_last float32"


@pytest.mark.slow
def test_a_keras_on_another_back_end_is_one_sentence(tmp_path: Path) -> None:
    said = _keras_of(tmp_path, "imported", {"backend": "openvino"})
    assert "Keras" in said
    assert "openvino" in said
    assert "KERAS_BACKEND=tensorflow" in said
