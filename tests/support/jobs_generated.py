"""The job of generated pipelines: it fails as often as it is told to."""

from pathlib import Path
from typing import Any

from headrace.jobs import BaseJob


class Does(BaseJob):
    """Succeeds at the try `at`; its result has `items` for a step below. Tries are bytes of a file.

    Not the number of the attempt: a worker may claim a job and hand it back without having tried.
    """

    def __init__(self, at: int, tries: str, items: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.at, self.tries, self.items = at, Path(tries), items

    def handle(self) -> dict[str, Any]:
        with self.tries.open("ab") as file:
            file.write(b".")
        if self.tries.stat().st_size < self.at:
            raise ValueError(f"not before try {self.at}")
        return {"items": self.items}
