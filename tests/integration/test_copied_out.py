"""Rows that COPY gives to a file: which of them are written when the query fails."""

import gc
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from headrace.jobs.files.copy_streams import copy_out
from headrace.template.rendered import RenderedSql

FAILING = "COPY (SELECT 1 / (5 - n) FROM generate_series(1, 9) AS n) TO STDOUT"


class Kept:
    """A target that keeps what it gets."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, piece: Any) -> int:
        self.pieces.append(bytes(piece))
        return len(piece)


def test_rows_in_front_of_an_error_are_not_written_behind_the_caller_s_back(
    target: Engine,
) -> None:
    kept: Any = Kept()
    failed = None
    with Session(target) as session:
        try:
            copy_out(session, RenderedSql(FAILING, {}), kept)
        except Exception as error:  # noqa: BLE001 - which one is another test's matter
            failed = str(error)
    gc.collect()

    assert failed is not None
    assert "division by zero" in failed
    assert kept.pieces == []
