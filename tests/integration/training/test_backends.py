"""Models, losses, metrics and augmentation are the same on TensorFlow and on JAX alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from polynya.recipe.base import tags_of
from polynya.recipe.loss import LossOptions
from polynya.recipe.model import PIXEL_MODELS, ModelOptions

ROOT = Path(__file__).parents[3]
PROGRAM = "tests/helpers/programs/on_backend.py"
# What JAX compiles runs once here, so it need not be fast.
FAST = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
JAX_PARTS = 2
"""Processes with JAX, as compiling takes most of the time."""


def _start(backend: str, out: Path, *part: str) -> subprocess.Popen[str]:
    settings = {"KERAS_BACKEND": backend, "KERAS_HOME": os.devnull, "PYTHONPATH": str(ROOT)}
    if backend == "jax":
        settings |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": FAST}
    return subprocess.Popen(
        [sys.executable, PROGRAM, str(out), *part],
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _found(process: subprocess.Popen[str], out: Path) -> dict[str, np.ndarray]:
    said, _ = process.communicate(timeout=900)
    assert process.returncode == 0, said
    names = json.loads(Path(f"{out}.json").read_text())
    with np.load(out) as file:
        return dict(zip(names, (file[key] for key in sorted(file)), strict=True))


@pytest.mark.slow
def test_all_of_a_training_but_its_steps_runs_on_jax_alone(tmp_path: Path) -> None:
    started = {tmp_path / "tensorflow.npz": _start("tensorflow", tmp_path / "tensorflow.npz")}
    for part in range(JAX_PARTS):
        out = tmp_path / f"jax{part}.npz"
        started[out] = _start("jax", out, str(part), str(JAX_PARTS))
    ours, *parts = (_found(process, out) for out, process in started.items())
    jax = {name: array for part in parts for name, array in part.items()}
    assert ours.keys() == jax.keys()
    for name, expected in ours.items():
        found = jax[name]
        assert found.dtype == expected.dtype, name
        scale = max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0)))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * scale, err_msg=name)
    # Nothing is left out.
    networks = set(tags_of(ModelOptions, "name")) - set(PIXEL_MODELS)
    for kind, names in (("model", networks), ("loss", tags_of(LossOptions, "name"))):
        for name in names:
            assert any(key.startswith(f"{kind} ") and name in key for key in ours), name
    gradients = [array for name, array in ours.items() if "gradient" in name]
    assert np.mean([array.any() for array in gradients]) > 0.95
