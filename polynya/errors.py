"""Errors that a user can fix.

Each message is one sentence that names the file or key, what is wrong with it and the remedy. The
command line prints the sentence without a traceback and exits with `EXIT_CODE`.
"""

EXIT_CODE = 1
_LONGEST_REASON = 300


def reason_of(error: BaseException) -> str:
    """Text of an error on one line and without a full stop, for use inside a sentence."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()).rstrip(".")[:_LONGEST_REASON]


def failed_of(failed: int, of: int, things: str = "scenes") -> str:
    """Text that says how many scenes of a batch failed and whether others are done."""
    others = ", the others are done" if failed < of else ""
    return f"{failed} of {of} {things} failed{others}"


class PolynyaError(Exception):
    """Base of all errors that the user, not the developer, can fix."""


class RecipeError(PolynyaError):
    """A recipe can't be read, or has an unknown key or a wrong value."""


class SceneError(PolynyaError):
    """A scene is missing, damaged, or of a kind that can't be used."""


class LabelError(SceneError):
    """A raster of labels doesn't fit its scene or its classes."""


class SourceError(PolynyaError):
    """A source of scenes can't be reached or used, or has no scene that fits the request."""


class ShardError(PolynyaError):
    """A folder of shards is missing, damaged, or made for other classes."""


class ModelError(PolynyaError):
    """A model folder is missing, incomplete, or doesn't fit its use."""


class TruthError(PolynyaError):
    """A truth raster is missing or doesn't match its scene."""


class OutputError(PolynyaError):
    """An output folder can't be written, or holds other things."""


class InUseError(OutputError):
    """Another run uses an output folder."""


class MissingDependencyError(PolynyaError):
    """A package or program that this step needs is not installed."""


def not_importable(error: ImportError) -> MissingDependencyError:
    """Error for a module of Polynya that needs a package which can't be imported."""
    return MissingDependencyError(
        f"A package that Polynya needs can't be imported ({reason_of(error)}); 'polynya doctor'"
        " says what is missing and how to install it."
    )


class EngineError(PolynyaError):
    """Workers can't be started with the given options."""


class ScenesFailedError(PolynyaError):
    """Some scenes of a batch failed; the others are done and the manifest has the reasons."""
