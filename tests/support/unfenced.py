"""A pytest plugin that takes the fence out of one statement: `-p tests.support.unfenced`.

`UNFENCED=ending_part` removes the line that is marked as the fencing token from that
statement, before anything else has read it; with `UNFENCED_LINE=mark` the line that demands the
mark of the attempt's transaction. A suite that still passes then proves nothing.
"""

import os
import re
import tempfile
from pathlib import Path

from headrace.store import statements

_NAME = os.environ["UNFENCED"]
_LINE = os.environ.get("UNFENCED_LINE", "fencing token")
_FENCE = re.compile(rf"^.*= .*-- {_LINE}\n", re.MULTILINE)


def _without_fence(text: str) -> str:
    begin = text.find(f"-- name: {_NAME}\n")
    if begin < 0:
        return text
    end = text.find("\n-- name: ", begin)
    end = len(text) if end < 0 else end
    part, removed = _FENCE.subn("", text[begin:end])
    assert removed == 1, f"{_NAME} has {removed} fences"
    return text[:begin] + part + text[end:]


with tempfile.TemporaryDirectory() as folder:
    for path in statements.FOLDER.glob("*.sql"):
        mutated = _without_fence(path.read_text(encoding="utf-8"))
        (Path(folder) / path.name).write_text(mutated, encoding="utf-8")
    statements.STATEMENTS = statements.load(Path(folder))
