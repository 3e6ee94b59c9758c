"""On what machine a result was measured."""

import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

from bench.servers import Stand


def describe(stand: Stand) -> dict[str, str]:
    """Return the machine, the versions and what waiting for its disk costs."""
    return {
        "cpu": _cpu(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **stand.versions(),
        "flush": f"{_flush_ms(stand.home):.2f} ms",
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _flush_ms(folder: Path) -> float:
    """Return the median time of writing one page and waiting for the disk."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, 8192 * 200)
        os.fsync(file.fileno())
        for number in range(200):
            began = time.perf_counter()
            os.pwrite(file.fileno(), b"x" * 8192, 8192 * number)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000
