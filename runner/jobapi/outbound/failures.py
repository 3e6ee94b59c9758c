"""Failures of sends: whether another try can help, and an error's text without what it names."""

import re

from headrace.errors import HeadraceError

# As urllib3 begins: `<….HTTPConnection object at 0x…>: `, or `HTTPConnection(host='…', port=…): `.
_OBJECT = re.compile(r"^(.* object at [^>]*>|\w+\(host=[^)]*\)): ")


class NotSent(HeadraceError):
    """What was to be sent did not arrive, as far as is known.

    `is_outage`: the receiver as a whole is away, not this one message refused. `is_final`: no
    further try is wanted. `wait_s` is how long the receiver asks to be left alone.
    """

    def __init__(
        self,
        message: str,
        *,
        is_outage: bool = True,
        is_final: bool = False,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.is_outage = is_outage
        self.is_final = is_final
        self.wait_s = wait_s


def reason_of(error: BaseException) -> str:
    """Return an error of the library without the objects that it names."""
    text = str(error.args[-1] if error.args else error)
    return _OBJECT.sub("", text, count=1)
