"""A pipeline as bytes from which it can be restored, whatever its files have become.

Unlike `definition`, which is for readers, nothing is left out and nothing written otherwise.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import Any

from headrace.model.pipeline import (
    Calendar,
    Concurrency,
    Foreach,
    Param,
    Pipeline,
    PipelineTrigger,
    Schedule,
    Step,
)
from headrace.model.retry import RetryPolicy

# Where the file is is told by who reads it again; its bytes are stored by themselves.
_PLACES = frozenset({"file", "folder", "source"})
_CLASSES: Mapping[str, type] = {
    cls.__name__: cls
    for cls in (
        *(Calendar, Concurrency, Foreach, Param, Pipeline),
        *(PipelineTrigger, RetryPolicy, Schedule, Step),
    )
}
# The key that says what a mapping stands for.
_KIND = ""


def stored(pipeline: Pipeline) -> bytes:
    """Return the pipeline without its places."""
    return json.dumps(_plain(pipeline)).encode("ascii")


def from_stored(content: bytes, *, file: str, folder: str, source: bytes) -> Pipeline:
    """Return the pipeline that was stored, of a file that is here now.

    Raises:
        ValueError: It was stored by a version that knows more, or is no pipeline.
    """
    places = {"file": file, "folder": folder, "source": source}
    try:
        said = json.loads(content)
        found = _from_plain({**said, **places})
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"the stored pipeline cannot be read: {error}") from error
    if not isinstance(found, Pipeline):
        raise ValueError("the stored data is not a pipeline")
    return found


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        said = {one.name: getattr(value, one.name) for one in fields(value)}
        left_out = _PLACES if isinstance(value, Pipeline) else frozenset()
        own = {name: _plain(one) for name, one in said.items() if name not in left_out}
        return {_KIND: type(value).__name__, **own}
    if isinstance(value, Mapping):
        return _plain_mapping(value)
    if isinstance(value, tuple):
        return {_KIND: "tuple", "items": [_plain(one) for one in value]}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return {_KIND: "datetime", "text": value.isoformat()}
    if isinstance(value, date):
        return {_KIND: "date", "text": value.isoformat()}
    return value


def _plain_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    if _KIND not in value and all(isinstance(key, str) for key in value):
        return {key: _plain(one) for key, one in value.items()}
    # JSON has no other keys than texts.
    items = [[_plain(key), _plain(one)] for key, one in value.items()]
    return {_KIND: "mapping", "items": items}


def _from_plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(_KIND)
    own = {key: one for key, one in value.items() if key != _KIND}
    if kind is None:
        return {key: _from_plain(one) for key, one in own.items()}
    if kind in _READERS:
        return _READERS[kind](own)
    return _CLASSES[kind](**{key: _from_plain(one) for key, one in own.items()})


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "tuple": lambda said: tuple(_from_plain(one) for one in said["items"]),
    "mapping": lambda said: {_from_plain(key): _from_plain(one) for key, one in said["items"]},
    "date": lambda said: date.fromisoformat(said["text"]),
    "datetime": lambda said: datetime.fromisoformat(said["text"]),
}
