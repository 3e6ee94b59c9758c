"""A receiver of traces (OTLP over HTTP) and lineage events (OpenLineage) in this process."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Receiver:
    """Keeps what it is sent; answers `status` to all of it."""

    def __init__(self) -> None:
        self.status = 200
        self.refused = 0
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        self.events: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        if self.status != 200:
            self.refused += 1
            return self.status
        self.headers.append({"path": path, **headers})
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if path == "/v1/traces":
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                told = group.resource.attributes
                self.resources.append({one.key: one.value.string_value for one in told})
                self.spans += [span for scope in group.scope_spans for span in scope.spans]
        else:
            self.events.append(json.loads(body))
        return 200

    def of_run(self, run_id: str) -> dict[str, Any]:
        """Return the spans of a run by their names."""
        trace = bytes.fromhex(run_id.replace("-", ""))
        return {span.name: span for span in self.spans if span.trace_id == trace}

    def about(self, run_id: str) -> list[dict[str, Any]]:
        """Return the events of a run and of its jobs."""

        def above(event: dict[str, Any]) -> Any:
            return event["run"]["facets"].get("parent", {}).get("run", {}).get("runId")

        return [one for one in self.events if run_id in (one["run"]["runId"], above(one))]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(receiver.take(self.path, headers, body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
