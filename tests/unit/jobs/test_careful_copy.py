"""Rows that are stored one by one: what PostgreSQL says of no row ends the load."""

from typing import Any

import pytest

from headrace.jobs.copying.careful_copy import CarefulCopy, CarefulRow
from headrace.jobs.files.copy_streams import Misfit


@pytest.mark.parametrize("number", [0, 3])
def test_an_error_that_is_no_row_s_is_raised(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise Misfit("no row's", number, None, "why")

    monkeypatch.setattr(CarefulCopy, "_copy", refused)
    rejects: Any = None  # Nothing is set aside.
    copy = CarefulCopy(rejects, rejects, "a.csv", ["a"])

    with pytest.raises(Misfit, match="no row's"):
        copy._store([CarefulRow(1, "a"), CarefulRow(2, "b")])
