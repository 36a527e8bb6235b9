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
# JAX compiles for one run here; what it compiles need not be fast.
FAST = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def _found(backend: str, folder: Path) -> dict[str, np.ndarray]:
    out = folder / f"{backend}.npz"
    settings = {"KERAS_BACKEND": backend, "KERAS_HOME": os.devnull, "PYTHONPATH": str(ROOT)}
    if backend == "jax":
        settings |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": FAST}
    done = subprocess.run(
        [sys.executable, PROGRAM, str(out)],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    names = json.loads(Path(f"{out}.json").read_text())
    with np.load(out) as file:
        return dict(zip(names, (file[key] for key in sorted(file)), strict=True))


@pytest.mark.slow
def test_all_of_a_training_but_its_steps_runs_on_jax_alone(tmp_path: Path) -> None:
    ours, jax = (_found(backend, tmp_path) for backend in ("tensorflow", "jax"))
    assert list(ours) == list(jax)
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
    assert len(gradients) > 50
    assert sum(bool(array.any()) for array in gradients) == len(gradients)
