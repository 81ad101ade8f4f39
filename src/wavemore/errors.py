"""The errors that a user can cause. Each message is one line that says what is wrong and what to do.

Any other exception is a bug in wavemore. The command line prints these errors without a traceback and exits with their
`exit_code`.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import wraps
from inspect import signature
from numbers import Integral, Real
from operator import index
from types import NoneType, UnionType
from typing import Any, Literal, SupportsIndex, TypeVar, Union, cast, get_args, get_origin, get_type_hints

A_CORPUS = "a corpus, such as `load_corpus` returns"
A_PLAN = "a Plan, such as `plan(corpus)` returns"
A_SAMPLING = "a Sampling, such as `Sampling(temperature=0.8)`"
A_VOCABULARY = "a Vocabulary, such as `corpus.vocabulary`"

F = TypeVar("F", bound=Callable[..., Any])


class WavemoreError(Exception):
    """The base class of all errors that a user can cause."""

    exit_code = 1


class UsageError(WavemoreError):
    """Settings that do not fit together, or a value out of range."""

    exit_code = 2


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, or that of a GPU.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"))
    True
    """
    return isinstance(error, MemoryError) or any(each in str(error) for each in ("allocate memory", "out of memory"))


class WavemoreWarning(UserWarning):
    """Something that a user should know, but that is not an error."""


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


def strings(values: Iterable[str], name: str) -> list[str]:
    """Return a list of strings. Raises `UsageError` for one string, and for anything else.

    >>> strings(["anna", 3], "texts")
    Traceback (most recent call last):
    wavemore.errors.UsageError: `texts` holds 3; give a list of strings, such as ["anna", "bob"]
    """
    refuse_string(values, name)
    require_kind(values, name, Iterable, 'a list of strings, such as ["anna", "bob"]')
    found: list[Any] = list(values)
    if other := [value for value in found if not isinstance(value, str)]:
        raise UsageError(f'`{name}` holds {other[0]!r:.60}; give a list of strings, such as ["anna", "bob"]')
    return found


def whole(value: SupportsIndex, name: str, least: int = 0) -> int:
    """Return a whole number. Raises `UsageError` for anything else, and for one below the least.

    >>> whole(2.5, "n")
    Traceback (most recent call last):
    wavemore.errors.UsageError: `n` is 2.5; it must be a whole number
    """
    number: int = typed(value, name, int)
    require(number >= least, name, number, f"at least {least}")
    return number


_RULES = {float: "a number", int: "a whole number", str: "a string", bool: "True or False"}


def typed(value: object, name: str, kind: Any) -> Any:
    """Return the value of a setting as one of its type: a list as a tuple, for example. Other types pass as they are.

    Raises `UsageError` for a value that cannot be one.

    >>> typed([2, 2], "fuse", tuple[int, ...])
    (2, 2)
    >>> typed("2", "top_k", int | Literal["all"])
    Traceback (most recent call last):
    wavemore.errors.UsageError: `top_k` is '2'; it must be a whole number or all
    """
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if value is None and NoneType in kinds:
        return None
    for each in kinds:
        if (found := _as_kind(value, each)) is not None:
            return found
    if kind == tuple[str, ...]:
        strings(value, name)  # type: ignore[arg-type]
    rules = [", ".join(map(str, get_args(each))) if get_origin(each) is Literal else _rule(each) for each in kinds]
    one_of = "one of " if get_origin(kind) is Literal else ""
    raise UsageError(f"`{name}` is {value!r:.60}; it must be {one_of}{' or '.join(rules)}")


def require_types(settings: Any) -> None:
    """Check the fields of a dataclass of settings by their types, and convert them as `typed` does."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        found = typed(value, field.name, field.type)
        if found is not value:
            object.__setattr__(settings, field.name, found)


def typed_arguments(function: F) -> F:
    """Make a function that checks its arguments by the types of its parameters, as `typed` does.

    >>> @typed_arguments
    ... def cut(text: str, length: int | None = None) -> None: ...
    >>> cut("anna", length="3")
    Traceback (most recent call last):
    wavemore.errors.UsageError: `length` is '3'; it must be a whole number or None
    """
    parameters = signature(function)

    @wraps(function)
    def checked(*args: Any, **keywords: Any) -> Any:
        hints = get_type_hints(function)
        for name, value in parameters.bind(*args, **keywords).arguments.items():
            typed(value, name, hints[name])
        return function(*args, **keywords)

    return cast(F, checked)


def _rule(kind: Any) -> str:
    if get_args(kind):
        return "a list of " + _rule(get_args(kind)[0]).removeprefix("a ") + "s"
    return "None" if kind is NoneType else _RULES.get(kind, f"a {kind.__name__}")


def _as_kind(value: Any, kind: Any) -> Any:
    """Return the value as one of a type; None if it cannot be."""
    of = get_args(kind)
    if get_origin(kind) is Literal:
        return value if isinstance(value, str) and value in of else None
    if get_origin(kind) is tuple and of[1] is ... and of[0] in _RULES:
        if isinstance(value, str | bytes) or not isinstance(value, Iterable):
            return None
        items = tuple(_as_kind(item, of[0]) for item in value)
        return None if None in items else items
    if kind is int:
        return index(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
    if kind is float:
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        return (value if isinstance(value, int | float) else float(value)) if is_number else None
    return value if not isinstance(kind, type) or isinstance(value, kind) else None


def a_kind(value: object) -> str:
    """Name the class of a value, with its article.

    >>> a_kind("anna"), a_kind(3)
    ('a str', 'an int')
    """
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOaeio' else 'a'} {name}"


def require_kind(value: object, name: str, kind: Any, example: str) -> None:
    """Raise `UsageError` for an argument of another kind.

    >>> require_kind("names", "corpus", list, "what `load_corpus` returns")
    Traceback (most recent call last):
    wavemore.errors.UsageError: `corpus` is a str; it must be what `load_corpus` returns
    """
    if not isinstance(value, kind):
        raise UsageError(f"`{name}` is {a_kind(value)}; it must be {example}")


def all_of(values: object, name: str, kind: Any, example: str) -> list[Any]:
    """Return the values of a list. Raises `UsageError` for anything else, and for a value of another kind.

    >>> all_of(["runs/a"], "a", int, "a list of whole numbers")
    Traceback (most recent call last):
    wavemore.errors.UsageError: `a` holds a str; it must be a list of whole numbers
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        require_kind(values, name, list, example)
    found = list(cast(Iterable[Any], values))
    if other := [value for value in found if not isinstance(value, kind)]:
        raise UsageError(f"`{name}` holds {a_kind(other[0])}; it must be {example}")
    return found


class DataError(WavemoreError):
    """Data that cannot be read, split or encoded."""


class UnknownCharacterError(DataError):
    """A character that is not in the vocabulary."""


class ModelError(WavemoreError, RuntimeError):
    """A model used in a way that would give wrong numbers; a RuntimeError too, which torch raises in such cases."""


class TrainingError(WavemoreError):
    """A training that cannot continue, for example because its loss is no longer finite."""


class RunError(WavemoreError):
    """A run folder that is missing, in use, incomplete, damaged or of another version."""


class RankError(WavemoreError):
    """A training by several processes of which one is gone, or trains on something else."""

    is_known = True
    """Whether rank 0 has the same error, so that the others need not speak; it may be the one that is gone."""
