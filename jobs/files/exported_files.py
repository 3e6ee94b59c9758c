"""The files of one export: all appear in the end, and those of the export before vanish."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self

from headrace import jobapi
from headrace.errors.numbers import listed, number_of
from headrace.jobapi import logger
from headrace.jobs.files.atomic_files import appear, hidden_file
from headrace.jobs.files.split_files import part_path

# A name has 255 bytes at most, a character up to four; the list tells the whole name.
_NAME_CHARACTERS = 40


class ExportedFiles:
    """Files that are written together; `path` is what the step calls them.

    A hidden list beside them names the parts of a split export, so that the next one can remove
    those that it does not write again: a reader by pattern would take their rows for current.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        whole = jobapi.current().output_path(path)
        self._folder, self._name = whole.parent, whole.name
        self._list = whole.with_name(f".{whole.name[:_NAME_CHARACTERS]}.parts")
        self._written: dict[Path, Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._publish()
        finally:
            for partial in self._written.values():
                partial.unlink(missing_ok=True)

    @contextmanager
    def opened(self, path: str) -> Iterator[IO[bytes]]:
        """Give a file to write, which stays hidden until all are complete."""
        final = jobapi.current().output_path(path)
        with hidden_file(final) as (partial, file):
            yield file
        self._written[final] = partial

    def _publish(self) -> None:
        before, names = self._listed(), [final.name for final in self._written]
        split = names != [self._name]
        if split or before:
            # Before the first one appears: if this process dies, the next export knows them all.
            self._note(sorted({*before, *names}))
        for final, partial in list(self._written.items()):
            appear(partial, final)
            del self._written[final]
        self._remove([name for name in before if name not in names])
        if split:
            self._note(names)
        else:
            self._list.unlink(missing_ok=True)

    def _remove(self, names: list[str]) -> None:
        for name in names:
            (self._folder / name).unlink(missing_ok=True)
        if names:
            logger.info(
                "Removed %s of an earlier export to %s, which this one has not written: %s",
                number_of(len(names), "file"), self._path, listed(sorted(names)),
            )  # fmt: skip

    def _listed(self) -> list[str]:
        """Return the files of the export before, as far as they can be this path's."""
        with suppress(FileNotFoundError, ValueError):
            noted = json.loads(self._list.read_text(encoding="utf-8"))
            if noted["export"] == self._name:
                return [name for name in noted["files"] if self._is_part(name)]
        return []

    def _is_part(self, name: str) -> bool:
        before, _, after = part_path(self._name, "*").rpartition("*")
        return "/" not in name and name.startswith(before) and name.endswith(after)

    def _note(self, names: list[str]) -> None:
        text = json.dumps({"export": self._name, "files": names})
        with hidden_file(self._list) as (partial, file):
            file.write(text.encode())
        appear(partial, self._list)
