"""HttpExtract as a user runs it: dispatched, done by a worker, kept by PostgreSQL."""

import gzip
from pathlib import Path

from headrace.store.embedded import Servers
from tests.support.cluster import cluster_on
from tests.support.http import Answered, http_server


def test_a_worker_takes_no_cut_answer_and_no_message_for_the_data(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    whole = gzip.compress(b"id,name\n" + b"".join(b"%d,x\n" % n for n in range(20_000)))
    packed = {"Content-Encoding": "gzip"}
    with http_server() as server:
        server.routes["/whole"] = Answered(whole, headers=packed)
        server.routes["/cut"] = Answered(whole[:-20], headers=packed)
        server.routes["/message"] = Answered(b'{"error": "quota exceeded"}')
        config = {"http": {"allowed_hosts": [f"127.0.0.1:{server.port}"]}}
        with cluster_on(Servers(database, redis_url), tmp_path, config=config) as cluster:
            dispatch = cluster.headrace.dispatcher.dispatch
            with_ = {"into": "public.t", "mode": "replace", "columns": ["id", "name"]}
            csv = {"format": "csv", "create": True, **with_}
            cluster.worker()
            first = dispatch("HttpExtract", {"url": server.url("/whole"), **csv})
            done = cluster.wait_for_status(first, "completed", "failed", "retrying")
            assert done["status"] == "completed", done["error"]
            cut = dispatch("HttpExtract", {"url": server.url("/cut"), **csv})
            message = dispatch("HttpExtract", {"url": server.url("/message"), **with_})
            errors = [
                cluster.wait_for_status(job, "failed", "retrying")["error"]
                for job in (cut, message)
            ]

            assert "ends before its end mark" in errors[0]
            assert "is one object, which is a row only" in errors[1]
            assert cluster.sql("SELECT count(*) AS n FROM public.t") == [{"n": 20_000}]
