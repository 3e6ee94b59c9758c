"""UTF-8 as the driver reads names of columns and settings: by the function in C at once.

It calls Python's codec for each name of each answer, and that one is a function in Python around
the one in C: some forty calls a job.
"""

import codecs

from psycopg2.extensions import encodings

_NAME = "headrace_utf_8"


def _found(name: str) -> codecs.CodecInfo | None:
    if name != _NAME:
        return None
    return codecs.CodecInfo(codecs.utf_8_encode, codecs.utf_8_decode, name=_NAME)


def use() -> None:
    """Have connections that are opened from now on use it; values come another way."""
    codecs.register(_found)
    encodings["UTF8"] = _NAME
