"""Stage 2: from labelled tiles to a segmentation model, on one rank or many."""

import sys

from polynya.environment import settle_keras

if "keras" not in sys.modules:
    # Keras reads its settings once, when it is imported, and most modules here import it. Programs
    # that import Keras before, with another back end, can use the models and losses there.
    settle_keras()
