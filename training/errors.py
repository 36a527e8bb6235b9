"""Errors that end a training early."""

from __future__ import annotations

from polynya.errors import PolynyaError


class StoppedError(PolynyaError):
    """A rank was told to stop; every rank raises it after the same step."""


class RankLostError(PolynyaError):
    """Another rank of the job has ended in the middle of an exchange."""
