"""The errors that a user can cause, each one line that says what is wrong and what to do.

Everything else that is raised is a bug of wavemore. The command line prints these errors without a traceback and
ends with their `exit_code`.
"""


class WavemoreError(Exception):
    """Any error that a user can cause and mend.

    >>> issubclass(DataError, WavemoreError)
    True
    """

    exit_code = 1


class UsageError(WavemoreError):
    """Settings that do not fit together, or a value outside its range."""

    exit_code = 2


class DataError(WavemoreError):
    """Text that cannot be read, split or encoded."""


class UnknownCharacterError(DataError):
    """A character that the vocabulary does not hold."""


class ModelError(WavemoreError):
    """A model used in a way that would give wrong numbers."""


class TrainingError(WavemoreError):
    """A training that cannot go on, for example a loss that is no longer finite."""


class RunError(WavemoreError):
    """A run folder that is missing, busy, half-written, damaged or of another version."""
