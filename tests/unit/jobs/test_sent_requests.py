"""What a request to another host says of itself, as the host gets it."""

from headrace.jobapi.outbound.allowed_hosts import OF_NOTIFICATIONS, AllowedHosts
from headrace.jobapi.outbound.http_call import Call, call
from tests.support.http import Answered, http_server


def test_a_host_is_asked_by_its_name_and_not_by_the_address_that_was_looked_up() -> None:
    allowed = AllowedHosts(["localhost"], OF_NOTIFICATIONS)
    given = {"X-Own": "1", "User-Agent": "mine", "Host": "elsewhere", "Accept-Encoding": "gzip"}
    with http_server() as server:
        server.routes["/alive"] = Answered()
        url = server.url("/alive?a=1", host="localhost")

        call(Call(url, body=b"{}"), allowed, 5.0)
        call(Call(url, "GET", given), allowed, 5.0)

    own = {"Host": f"localhost:{server.port}", "Accept-Encoding": "identity"}
    first, second = server.asked
    assert (first.method, first.path, first.body) == ("POST", "/alive?a=1", b"{}")
    assert first.headers == own | {"User-Agent": "headrace", "Content-Length": "2"}
    assert (second.method, second.path, second.body) == ("GET", "/alive?a=1", b"")
    assert second.headers == own | {"User-Agent": "mine", "X-Own": "1"}
