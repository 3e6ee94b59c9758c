"""Stands for an argument that only a run knows, while a job is made for the sake of the others."""

from typing import Any, NoReturn


class Touched(BaseException):
    """Something wanted to know a value that is not known yet.

    No Exception: what catches those must not mistake this for a mistake.
    """


def _touched(*_given: Any, **_named: Any) -> NoReturn:
    raise Touched


class Untouchable:
    """A value that may be handed on, and that nothing may be asked about."""

    __slots__ = ()
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _touched
    __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = __call__ = _touched
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __neg__ = _touched
    __str__ = __repr__ = __format__ = __int__ = __float__ = __index__ = _touched
    __getattr__ = _touched


UNTOUCHABLE = Untouchable()


def is_untouchable(value: object) -> bool:
    """Return whether a value is not known yet."""
    return value is UNTOUCHABLE
