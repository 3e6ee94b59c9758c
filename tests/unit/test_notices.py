"""What a server says while a statement runs: the level and the text that a job's log gets."""

import logging

import pytest

from headrace.store.notices import Notices, notices_heard


@pytest.mark.parametrize(
    ("notice", "said", "level"),
    [
        ("NOTICE:  a:  b\n", "NOTICE: a:  b", logging.INFO),
        ("WARNING:  w\nDETAIL:  d\n", "WARNING: w\nDETAIL:  d", logging.WARNING),
        ("DEBUG:  d\n", "DEBUG: d", logging.DEBUG),
        ("LOG:  l\n", "LOG: l", logging.INFO),
        # Another language's word.
        ("HINWEIS:  h\n", "HINWEIS: h", logging.INFO),
    ],
)
def test_a_notice_is_said_with_the_level_of_its_word(notice: str, said: str, level: int) -> None:
    found: list[tuple[str, int]] = []

    with notices_heard() as heard:
        Notices(lambda text, of: found.append((text, of))).append(notice)
    Notices(lambda *_: None).append("NOTICE:  nobody listens\n")

    assert found == [(said, level)]
    assert heard == [notice.rstrip()]
