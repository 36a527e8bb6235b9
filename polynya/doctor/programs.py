"""Small programs that start a task; each runs in its own process, as it may fail or hang."""

SCENE = """
import sys
import numpy, pyproj, rasterio
from polynya.environment import settle_process
settle_process(worker=True)
from rasterio.transform import from_origin
from rasterio.warp import transform
pixels = numpy.zeros((3, 64, 64), "uint8")
pixels[:, :, :32], pixels[:, :, 32:] = 12, 228
profile = dict(driver="GTiff", height=64, width=64, count=3, dtype="uint8", crs="EPSG:3031")
with rasterio.open(sys.argv[1], "w", transform=from_origin(0, -1e6, 10, 10), **profile) as file:
    file.write(pixels)
with rasterio.open(sys.argv[1]) as file:
    assert (file.read() == pixels).all(), "a GeoTIFF is not read as it was written"
    (x,), (y,) = transform(file.crs, "EPSG:4326", [0.0], [-1e6])
u, v = pyproj.Transformer.from_crs(3031, 4326, always_xy=True).transform(0.0, -1e6)
assert max(abs(x - u), abs(y - v)) < 1e-6 and abs(abs(x) - 180) < 1e-6 and -81 < y < -80, (
    f"PROJ gives the place ({x}, {y}), and pyproj ({u}, {v})")
"""

STEP = """
from training.ranks.devices import import_tensorflow
import_tensorflow()
import keras, numpy
layers = [keras.Input((16, 16, 3)), keras.layers.Conv2D(3, 3, activation="softmax")]
model = keras.Sequential(layers)
model.compile("sgd", "sparse_categorical_crossentropy")
loss = model.train_on_batch(numpy.ones((2, 16, 16, 3)), numpy.zeros((2, 14, 14)))
assert numpy.isfinite(loss), "a step of training gives no loss"
import training.run.start
"""

PREDICTION = """
from training.ranks.devices import import_tensorflow
import_tensorflow()
import keras, numpy
layers = [keras.Input((16, 16, 3)), keras.layers.Conv2D(3, 3, activation="softmax")]
model = keras.Sequential(layers)
shares = model.predict_on_batch(numpy.ones((2, 16, 16, 3)))
assert numpy.allclose(shares.sum(-1), 1, atol=1e-5), "probabilities of a model do not sum to 1"
import inference.run.scenes
from polynya.environment import settle_matplotlib
settle_matplotlib()
from matplotlib.backends.backend_agg import FigureCanvasAgg
"""

RANK = """
from importlib.util import find_spec
from pathlib import Path
from horovod.common.basics import HorovodBasics
from horovod.common.process_sets import _setup
library = Path(find_spec("horovod").origin).parent / "tensorflow" / "mpi_lib"
ranks = HorovodBasics(str(library), "mpi_lib")
_setup(ranks)
ranks.init()
assert ranks.size() == 2, f"{ranks.size()} ranks instead of 2"
ranks.shutdown()
"""
"""Horovod without TensorFlow, because the import of TensorFlow by every rank takes too long."""

OPENVINO = """
import sys
sys.modules.setdefault("openvino_telemetry", None)
import openvino
assert "CPU" in openvino.Core().available_devices, "OpenVINO finds no processor that it can use"
"""
