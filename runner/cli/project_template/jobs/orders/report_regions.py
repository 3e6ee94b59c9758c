"""The regions with the greatest totals."""

from typing import Any

from headrace import BaseJob, logger
from sqlalchemy import text

from jobs.orders.money import in_words


class ReportRegions(BaseJob):
    """Report the regions with the greatest totals.

    Parameters:
        best: how many of them.
    """

    tables_read = ("mart.daily_totals",)

    def __init__(self, best: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.best = best

    def handle(self) -> dict[str, str]:
        query = text(
            "SELECT region, sum(amount) AS amount FROM mart.daily_totals"
            " GROUP BY region ORDER BY amount DESC LIMIT :best"
        )
        with self.session() as session:
            found = session.execute(query, {"best": self.best}).all()
        for region, amount in found:
            logger.info("%s: %s", region, in_words(amount))
        return {region: in_words(amount) for region, amount in found}
