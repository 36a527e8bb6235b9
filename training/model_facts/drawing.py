"""A drawing of a network as SVG: its stages as boxes, by resolution and order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import keras

from polynya.report.html import Html, element
from training.model_facts.graph import Node, nodes_of

_BOX = (148, 76)
"""Width and height of a box, in units of the drawing."""
_STEP = (172, 118)
"""From a box to the next one, right and down."""
_MARGIN, _TITLE, _LINE = 16, 54, 15
_LONGEST, _MOST = 24, 3
"""Characters that fit on a line of a box, and lines below its first."""
_NAMES = {
    "BatchNormalization": "norm",
    "LayerNormalization": "norm",
    "GroupNormalization": "norm",
    "Conv2D": "conv",
    "Conv2DTranspose": "transposed",
    "DepthwiseConv2D": "depthwise",
    "SeparableConv2D": "separable",
    "MaxPooling2D": "max-pool",
    "AveragePooling2D": "mean-pool",
    "UpSampling2D": "upsample",
    "ReLU": "",
    "Activation": "",
    "InputLayer": "",
    "Identity": "",
    "ZeroPadding2D": "",
    "SpatialDropout2D": "dropout",
    "Concatenate": "concat",
}
"""What a box says for a kind of layer; "" for nothing, as every stage has these."""


@dataclass(eq=False)
class _Stage:
    """Nodes of one resolution that hang together."""

    number: int
    nodes: list[Node]
    sources: dict[_Stage, None] = field(default_factory=dict)
    """Stages whose output it takes, in order."""

    @property
    def size(self) -> tuple[int, ...]:
        return self.nodes[0].shape[:2]


def draw_network(model: keras.Model, title: str) -> str:
    """Draw a functional model with a fixed height and width.

    A box is a stage: layers of one resolution, with the shape of its output and its layers. Boxes
    stand from left to right in the order in which they are computed, lower for lower resolutions.

    Returns:
        SVG file.

    Raises:
        ValueError: The size isn't fixed, or a layer is used several times.
    """
    stages = _stages(nodes_of(model))
    heights = sorted({stage.size[0] for stage in stages}, reverse=True)
    places = {
        stage: (
            _MARGIN + stage.number * _STEP[0],
            _MARGIN + _TITLE + heights.index(stage.size[0]) * _STEP[1],
        )
        for stage in stages
    }
    lines = [
        _line(places[source], places[stage], stage.number - source.number)
        for stage in stages
        for source in stage.sources
    ]
    boxes = [part for stage in stages for part in _box(stage, places[stage])]
    width = 2 * _MARGIN + (len(stages) - 1) * _STEP[0] + _BOX[0]
    height = 2 * _MARGIN + _TITLE + (len(heights) - 1) * _STEP[1] + _BOX[1]
    ground = element("rect", width=width, height=height, fill="white")
    head = element("text", title, x=_MARGIN, y=_MARGIN + 12, font_size=16, font_weight="bold")
    drawing = element(
        "svg",
        *(ground, head, *lines, *boxes),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        font_family="sans-serif",
        font_size=12,
        role="img",
        aria_label=f"Structure of {title}",
    )
    return f"{drawing}\n"


def _stages(nodes: Sequence[Node]) -> list[_Stage]:
    """Gather nodes into stages, in the order of their first nodes.

    A node belongs to the last of the stages that it takes its input from, if that has its
    resolution, or if it has none of its own (as a mean over the image, or zeros around an image
    before a convolution). Otherwise it begins a stage, or joins the one that another node began
    with the same input and resolution (as a shortcut beside a convolution with a stride).
    """
    stages: list[_Stage] = []
    stage_of: dict[Node, _Stage] = {}
    begun: dict[tuple[_Stage, tuple[int, ...]], _Stage] = {}
    for node in nodes:
        sources = [stage_of[source] for source in node.inputs]
        stage = max(sources, key=lambda one: one.number, default=None)
        has_place = node.is_image and node.shape[:2] != (1, 1) and not _is_padding(node)
        if stage is None or (has_place and stage.size != node.shape[:2]):
            before = stage
            stage = begun.get((before, node.shape[:2])) if before is not None else None
            if stage is None:
                stage = _Stage(len(stages), [])
                stages.append(stage)
            if before is not None:
                begun[before, node.shape[:2]] = stage
        stage.nodes.append(node)
        stage_of[node] = stage
        stage.sources |= dict.fromkeys(one for one in sources if one is not stage)
    return stages


def _is_padding(node: Node) -> bool:
    return isinstance(node.operation, keras.layers.ZeroPadding2D)


def _line(start: tuple[int, int], end: tuple[int, int], columns: int) -> Html:
    """Line from one box to another; an arc between distant boxes of one row."""
    (x, y), (to_x, to_y) = start, end
    width, height = _BOX
    if y == to_y and columns > 1:
        top = y - min(14 + 3 * columns, 32)
        path = f"M{x + width / 2} {y}C{x + width} {top} {to_x} {top} {to_x + width / 2} {to_y}"
        return element("path", d=path, fill="none", stroke="#8a97a6")
    path = f"M{x + width} {y + height / 2}L{to_x} {to_y + height / 2}"
    return element("path", d=path, fill="none", stroke="#33475b", stroke_width=1.5)


def _box(stage: _Stage, place: tuple[int, int]) -> list[Html]:
    (x, y), (width, height) = place, _BOX
    images = [node for node in stage.nodes if node.is_image and not _is_padding(node)]
    shape = " x ".join(map(str, images[-1].shape))
    texts = [shape, *_wrapped(_layers_text(stage.nodes))]
    return [
        element(
            "rect",
            x=x,
            y=y,
            width=width,
            height=height,
            rx=4,
            fill="#eaf1f8",
            stroke="#33475b",
        ),
        *(
            element(
                "text",
                text,
                x=x + 8,
                y=y + 18 + number * _LINE,
                font_weight="bold" if number == 0 else "normal",
                font_size=12 if number == 0 else 10,
            )
            for number, text in enumerate(texts)
        ),
    ]


def _layers_text(nodes: Sequence[Node]) -> str:
    """Say the layers of a stage, such as "2 conv 3x3, 2 norm, dropout"."""
    names = []
    for node in nodes:
        if not isinstance(node.operation, keras.layers.Layer):
            continue
        name = _NAMES.get(node.kind, node.kind.lower())
        kernel = getattr(node.operation, "kernel_size", None)
        names.append(f"{name} {'x'.join(map(str, kernel))}" if kernel else name)
    counts = Counter(name for name in names if name)
    return ", ".join(f"{count} {name}" if count > 1 else name for name, count in counts.items())


def _wrapped(text: str) -> list[str]:
    """Break a text at its commas; what has no room is counted on the last line."""
    parts = text.split(", ")
    lines = [parts[0]]
    for number, part in enumerate(parts[1:], start=1):
        if len(lines[-1]) + 2 + len(part) <= _LONGEST:
            lines[-1] += f", {part}"
        elif len(lines) < _MOST:
            lines.append(part)
        else:
            return [*lines[:-1], f"and {len(parts) - number + lines[-1].count(',') + 1} more"]
    return lines
