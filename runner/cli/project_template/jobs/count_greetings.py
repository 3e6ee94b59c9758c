"""A job of this project: each class in jobs/ that inherits from BaseJob can be a step."""

from typing import Any

from headrace import BaseJob, logger
from sqlalchemy import text


class CountGreetings(BaseJob):
    """Count the greetings that were made so far."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def handle(self) -> dict[str, int]:
        with self.session() as session:
            count = session.execute(text("SELECT count(*) FROM public.greeting")).scalar_one()
        logger.info("%d greetings", count)
        return {"greetings": count}
