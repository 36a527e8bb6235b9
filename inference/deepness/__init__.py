"""Models as ONNX files, with what the QGIS plugin Deepness reads of them."""
