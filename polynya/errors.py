"""Errors that a user can fix.

Each message is one sentence that names the file or key, what is wrong with it and the remedy. The
command line prints the sentence without a traceback and exits with `EXIT_CODE`.
"""

EXIT_CODE = 1
_LONGEST_REASON = 300


def reason_of(error: BaseException) -> str:
    """What an error says, on one line and without a full stop, to go inside a sentence."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()).rstrip(".")[:_LONGEST_REASON]


def failed_of(failed: int, scenes: int) -> str:
    """Words on how many scenes of a batch failed, and what is with the others."""
    others = ", the others are done" if failed < scenes else ""
    return f"{failed} of {scenes} scenes failed{others}"


class PolynyaError(Exception):
    """Base of all errors that the user, not the developer, can fix."""


class RecipeError(PolynyaError):
    """A recipe that can't be read, or has an unknown key or a wrong value."""


class SceneError(PolynyaError):
    """A scene that is missing, broken, or of a kind that can't be used."""


class LabelError(SceneError):
    """A raster of labels that doesn't fit its scene or its classes."""


class SourceError(PolynyaError):
    """A source of scenes that can't be reached or used, or has nothing that fits."""


class ShardError(PolynyaError):
    """A folder of shards that is missing, damaged, or made for other classes."""


class ModelError(PolynyaError):
    """A model folder that is missing, incomplete, or doesn't fit its use."""


class TruthError(PolynyaError):
    """A truth raster that is missing or doesn't match its scene."""


class OutputError(PolynyaError):
    """An output folder that can't be written, or holds something else."""


class MissingDependencyError(PolynyaError):
    """A package or program that this step needs and that is not installed."""


def not_importable(error: ImportError) -> MissingDependencyError:
    """The error of a module of ours that needs a package which can't be imported."""
    return MissingDependencyError(
        f"A package that Polynya needs can't be imported ({reason_of(error)}); 'polynya doctor'"
        " says what is missing and how to install it."
    )


class EngineError(PolynyaError):
    """Workers that can't be started as asked."""


class ScenesFailedError(PolynyaError):
    """Some scenes of a batch failed; the others are done and the manifest has the reasons."""
