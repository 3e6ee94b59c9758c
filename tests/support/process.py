"""Entry of the daemons and workers that the tests kill: `python -m tests.support.process`."""

import logging
import os
import sys
from dataclasses import replace

from headrace.declarations.config import load_settings
from headrace.engine.application import connect
from headrace.engine.daemon import Daemon
from headrace.engine.workers.group_commit import batch
from headrace.engine.workers.main import run_worker


def main(role: str, processes: int) -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(process)d %(name)s %(levelname)s %(message)s"
    )
    limit = int(os.environ.get("TEST_MAX_MEMORY_BYTES", "0"))
    # On a busy machine hardly a job is short, or brief.
    batch._SHORT_S = float(os.environ.get("TEST_SHORT_S", batch._SHORT_S))
    batch._BRIEF_S = float(os.environ.get("TEST_BRIEF_S", batch._BRIEF_S))
    batch._TOGETHER_S *= batch._BRIEF_S / 0.01
    headrace = connect(replace(load_settings(), max_memory_bytes=limit), role=role)
    if role == "daemon":
        Daemon(headrace).run()
    else:
        run_worker(headrace, processes=processes)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
