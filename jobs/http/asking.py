"""The keys that say how a job asks a server: by pages, at which pace, and as whom."""

from typing import Any, Literal

from headrace.errors import InvalidPayload
from headrace.jobs.http.client_credentials import AuthGiven, ClientCredentials
from headrace.jobs.http.exchange import Exchange, Pace
from headrace.jobs.http.pagination import Paginator, PaginatorGiven


class AsksServers:
    """The part of a job that asks a server, perhaps more than once.

    Parameters:
        format: json (one document), csv, or jsonl (ndjson): one JSON object per line.
        paginator: how the API is read page by page: `{type: header_link}` (rel="next");
            `{type: json_link, next_url_path: paging.next}`; `{type: cursor, cursor_path:
            meta.next, cursor_param: cursor}`, or with `cursor_body_path: variables.after` a place
            in the body of a POST; `{type: offset, limit: 100}`, with `offset_param`,
            `limit_param`, `total_path`; `{type: page_number}`, with `page_param`, `base_page`,
            `total_path`. All pages are loaded or none; more than `max_pages` (10000) are an error.
        rate_limit: the greatest number of requests, as in 10/s, 100/m or 1000/h.
        max_wait: how long to wait, all in all, if the server answers 429 or 503 and says by
            Retry-After when to ask again (duration); a longer wait fails the attempt.
        auth: how to get an access token: `{type: oauth2_client_credentials, access_token_url: …,
            client_id: …, client_secret: "${NAME}"}`, with `scope`, `access_token_request_data` (a
            mapping of other parameters) and `send_credentials: header` (default) or `body`.
    """

    def __init__(
        self,
        *,
        format: Literal["json", "csv", "jsonl", "ndjson"] = "json",  # noqa: A002 - the user's word
        paginator: PaginatorGiven | None = None,
        rate_limit: str | None = None,
        max_wait: str = "5m",
        auth: AuthGiven | None = None,
        headers: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.format = "jsonl" if format == "ndjson" else format
        self.headers = headers or {}
        self.paginator = Paginator.read(paginator, self.format)
        if self.paginator is not None and self.format == "csv":
            raise InvalidPayload("paginator needs format: json or jsonl")
        self.credentials = ClientCredentials.read(auth)
        if self.credentials and any(name.lower() == "authorization" for name in self.headers):
            raise InvalidPayload("auth sets the header Authorization: leave it out of headers")
        self.pace = Pace.read(rate_limit, max_wait)

    def refuse_body(self, method: str, body: object) -> None:
        """Refuse a body that the method does not send, or that cannot carry the pages' cursor.

        Raises:
            InvalidPayload: saying so.
        """
        if body is not None and method != "POST":
            raise InvalidPayload("a body needs method: POST")
        if self.paginator is not None:
            self.paginator.refuse_request(method, body)

    def exchange(self) -> Exchange:
        """Return what sends the requests of this attempt."""
        return Exchange(self.pace, self.credentials)
