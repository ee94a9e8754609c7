"""The exception family: every error that a user can cause, saying what, where, what is allowed and what to do."""

from __future__ import annotations


class SecateurError(Exception):
    """Base of every error raised on purpose by this library."""


class TraceError(SecateurError):
    """The model could not be copied, run or recorded on the example inputs."""


class UnsupportedError(SecateurError):
    """The request is understood, but the model or method does not allow it."""


class MissingEvidenceError(SecateurError):
    """A criterion or repair read a quantity that was not collected."""


class IncompatibleError(SecateurError):
    """Parts that cannot meet: criterion and granularity, plan and model, file and model."""


class BudgetError(SecateurError):
    """A budget is malformed or cannot be reached.

    Attributes:
        reachable: the smallest fraction that can be kept, in the budget's own unit, where it is known.
    """

    def __init__(self, message: str, reachable: float | None = None) -> None:
        super().__init__(message)
        self.reachable = reachable


class VerificationError(SecateurError):
    """Masked and shrunk networks disagree, so nothing was handed over.

    Attributes:
        difference: the largest relative difference between the two outputs.
    """

    def __init__(self, message: str, difference: float = float("nan")) -> None:
        super().__init__(message)
        self.difference = difference


class CodecError(SecateurError):
    """A saved file is truncated, tampered with, or not one of ours."""


class UnknownNameError(SecateurError, KeyError):
    """A registry or name pattern was asked for something it does not hold."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would print its message in quotes


class SecateurWarning(UserWarning):
    """Something worth reading that did not stop the work."""
