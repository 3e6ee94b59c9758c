"""Looks at many files that nobody has seen in several processes.

They fill the memory of what was found in files, and nothing else. The look that follows finds it
there, and examines what is missing; so nothing is lost where one of them dies.
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from headrace.declarations.config import Settings
from headrace.declarations.defaults import Defaults
from headrace.engine.catalog.checked_files import CheckedFiles
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.explain.static_findings import findings_of

# A process has the libraries to load first: a third of a second, as a hundred files take.
FILES_EACH = 250
_MOST_PROCESSES = 8
# One file in so many is looked up to guess how many are new.
_SAMPLE = 20


def look_side_by_side(
    files: Sequence[Path], settings: Settings, registry: Registry, checked: CheckedFiles
) -> None:
    """Have `checked` know many new files; the caller must have no other threads."""
    defaults = Defaults(registry, settings)
    sample = files[::_SAMPLE]
    if len(files) < 2 * FILES_EACH:
        return
    new = sum(checked.is_new(path, defaults) for path in sample) * len(files) // len(sample)
    processes = min(_processors(), _MOST_PROCESSES, new // FILES_EACH)
    if processes < 2:
        return
    # Nothing that waits in a buffer is to be written by each of them.
    sys.stdout.flush()
    sys.stderr.flush()
    looking = [
        _start(files[first::processes], settings, registry, checked) for first in range(processes)
    ]
    for process, pipe in looking:
        with open(pipe, encoding="utf-8", errors="surrogatepass") as found:  # noqa: PTH123
            checked.add_lines(line.removesuffix("\n") for line in found)
        os.waitpid(process, 0)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(
    files: Iterable[Path], settings: Settings, registry: Registry, checked: CheckedFiles
) -> tuple[int, int]:
    """Return a process that looks at these files, and the pipe that it writes to."""
    reader, writer = os.pipe()
    if process := os.fork():
        os.close(writer)
        return process, reader
    # Without the ends of a process: what is to happen at that of the caller is the caller's.
    with contextlib.suppress(BaseException):
        os.close(reader)
        defaults = Defaults(registry, settings)
        loaded = [checked.load(path, defaults).pipeline for path in files]
        pipelines = {one.name: one for one in loaded if one is not None}
        findings_of(pipelines, settings, registry, checked)
        lines = "".join(f"{line}\n" for line in checked.new_lines())
        with open(writer, "wb") as pipe:  # noqa: PTH123
            pipe.write(lines.encode("utf-8", "surrogatepass"))
    os._exit(0)
