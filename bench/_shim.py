import logging, os, signal, sys

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
from runner.engine.wiring import connect

n = int(sys.argv[-1])


def daemon():
    from runner.daemon import Daemon

    Daemon(connect(role="daemon")).run()


def worker(p):
    from runner.engine.work import run_worker

    run_worker(connect(role="worker"), processes=p)


if sys.argv[1] == "worker":
    worker(n)
else:
    import jobs

    pids = []
    for f in [daemon] + [lambda: worker(1)] * n:
        pid = os.fork()
        if pid == 0:
            f()
            os._exit(0)
        pids.append(pid)

    def stop(*a):
        for p in pids:
            os.kill(p, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    for p in pids:
        os.waitpid(p, 0)
