"""The errors that a user can cause. Each message is one line that says what is wrong and what to do.

Any other exception is a bug in wavemore. The command line prints these errors without a traceback and exits with their
`exit_code`.
"""

A_CORPUS = "a corpus, such as `load_corpus` returns"


class WavemoreError(Exception):
    """The base class of all errors that a user can cause."""

    exit_code = 1


class UsageError(WavemoreError):
    """Settings that do not fit together, or a value out of range."""

    exit_code = 2


class WavemoreWarning(UserWarning):
    """Something that a user should know, and that is no error."""


def require(valid: bool, name: str, value: object, rule: str) -> None:
    """Raise `UsageError` unless the value of a parameter is valid.

    >>> require(False, "n", -1, "at least 0")
    Traceback (most recent call last):
    wavemore.errors.UsageError: `n` is -1; it must be at least 0
    """
    if not valid:
        raise UsageError(f"`{name}` is {value}; it must be {rule}")


def refuse_string(value: object, name: str) -> None:
    """Raise `UsageError` for one string where a list of strings is expected: each character would be taken for one.

    >>> refuse_string("anna", "texts")
    Traceback (most recent call last):
    wavemore.errors.UsageError: `texts` is one string; give a list of strings, such as ["anna", "bob"]
    """
    if isinstance(value, str | bytes):
        raise UsageError(f'`{name}` is one string; give a list of strings, such as ["anna", "bob"]')


def require_kind(value: object, name: str, kind: type, example: str) -> None:
    """Raise `UsageError` for an argument of another kind.

    >>> require_kind("names", "corpus", list, "what `load_corpus` returns")
    Traceback (most recent call last):
    wavemore.errors.UsageError: `corpus` is a str; it must be what `load_corpus` returns
    """
    if not isinstance(value, kind):
        raise UsageError(f"`{name}` is a {type(value).__name__}; it must be {example}")


class DataError(WavemoreError):
    """Data that cannot be read, split or encoded."""


class UnknownCharacterError(DataError):
    """A character that is not in the vocabulary."""


class ModelError(WavemoreError):
    """A model used in a way that would give wrong numbers."""


class TrainingError(WavemoreError):
    """A training that cannot continue, for example because its loss is no longer finite."""


class RunError(WavemoreError):
    """A run folder that is missing, in use, incomplete, damaged or of another version."""
