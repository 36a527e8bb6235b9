"""Profiles of colour ranges, by hand and drawn at random."""

import numpy as np
from hypothesis import strategies as st

from polynya.recipe.classes import ClassScheme
from polynya.recipe.thresholds import Profile

NAMES = ("open_water", "thin_ice", "thick_ice", "slush")
FOUR = ClassScheme.model_validate(
    {
        "name": "four",
        "classes": [
            {"code": i, "name": name, "title": name, "color": (i, 0, 0)}
            for i, name in enumerate(NAMES)
        ],
    }
)


def profile(*ranges, name="mine", **options):
    return Profile.model_validate({"name": name, "ranges": list(ranges), **options})


def colour_range(name, **axes):
    return {"class": name, **axes}


WATER = colour_range("open_water", value=[0, 30])
THIN = colour_range("thin_ice", value=[31, 204])
THICK = colour_range("thick_ice", value=[205, 255])


AXES = ("hue", "saturation", "value")
SIZES = (180, 256, 256)
CUTS = ((30, 90, 120), (64, 128), (31, 100, 205))


def interval(axis, wraps):
    size, ends = SIZES[axis], (0, *CUTS[axis], SIZES[axis])
    pairs = [
        [low, (high - 1) % size]
        for low in ends[:-1]
        for high in ends[1:]
        if low < high or (wraps and low > high)
    ]
    return st.sampled_from(pairs)


RANGES = st.lists(
    st.builds(
        lambda name, hue, saturation, value: colour_range(
            name, hue=hue, saturation=saturation, value=value
        ),
        st.sampled_from(NAMES),
        interval(0, wraps=True),
        interval(1, wraps=False),
        interval(2, wraps=False),
    ),
    min_size=1,
    max_size=5,
)


@st.composite
def partitions(draw):
    """Ranges that hold each colour once; sometimes one is missing or too long."""
    ranges = []

    def cut(box):
        places = [
            (axis, at)
            for axis in range(3)
            for at in CUTS[axis]
            if box[axis][0] < at <= box[axis][1]
        ]
        if not places or len(ranges) > 6 or draw(st.integers(0, 3)) == 0:
            axes = {name: list(part) for name, part in zip(AXES, box, strict=True)}
            ranges.append(colour_range(draw(st.sampled_from(NAMES)), **axes))
            return
        axis, at = draw(st.sampled_from(places))
        for part in ((box[axis][0], at - 1), (at, box[axis][1])):
            cut([part if i == axis else box[i] for i in range(3)])

    cut([(0, size - 1) for size in SIZES])
    change = draw(st.sampled_from(["none", "none", "missing", "longer"]))
    if change == "missing" and len(ranges) > 1:
        ranges.pop(draw(st.integers(0, len(ranges) - 1)))
    if change == "longer":
        ranges[draw(st.integers(0, len(ranges) - 1))]["value"] = [0, 255]
    return ranges


COLOUR_RANGES = st.one_of(RANGES, partitions(), partitions(), partitions())


def hsv_members(part):
    """Which hues (180,), saturations and values (256,) a range holds."""
    inside = []
    for axis, size in zip(AXES, SIZES, strict=True):
        low, high = part.get(axis, (0, size - 1))
        numbers = np.arange(size)
        above, below = numbers >= low, numbers <= high
        inside.append(above & below if low <= high else above | below)
    return inside
