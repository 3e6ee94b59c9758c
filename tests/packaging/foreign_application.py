"""A company's application: packages `jobs` and `runner` of its own, orders, and jobs for Headrace.

It dispatches in the transaction that stores an order; one order is rolled back.
"""

from pathlib import Path

_FILES = {
    "jobs/__init__.py": "",
    "jobs/base.py": 'NOTE = "the application\'s own jobs"\n',
    "runner/__init__.py": "",
    "runner/errors.py": "NOTE = 'runner'\n",
    "shop/__init__.py": "",
    "shop/jobs.py": """
from sqlalchemy import text

from headrace import BaseJob


class Ship(BaseJob):
    def __init__(self, number: int, **kwargs):
        super().__init__(**kwargs)
        self.number = number

    def handle(self):
        with self.session() as session:
            row = {"note": f"order {self.number}"}
            session.execute(text("insert into shipped values (:note)"), row)
""",
    "config.yaml": "job_packages: [shop.jobs]\n",
    # Has run to its end once both jobs have.
    "pipelines/shipped.yaml": """
name: shipped
steps:
  - id: wait
    job: CheckData
    with: {table: shipped, min_rows: 2}
    retry: {limit: 100, delay: 1s}
""",
    "program.py": """
import os

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

import jobs.base
import runner.errors
from headrace.jobs.run_sql import RunSql
from shop.jobs import Ship

engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg2:"))
with Session(engine) as session:
    session.execute(text("create table shop_order (number int); create table shipped (note text)"))
    session.commit()
for number in (1, 2):
    with Session(engine) as session:
        session.execute(text("insert into shop_order values (:number)"), {"number": number})
        Ship.dispatch(number=number, session=session)
        RunSql.dispatch(
            sql="insert into shipped values ({{ params.note }})",
            params={"note": f"{jobs.base.NOTE} and {runner.errors.NOTE}"},
            session=session,
        )
        session.commit() if number == 1 else session.rollback()
assert "jobs.run_sql" not in vars(jobs) and jobs.__file__.startswith(os.getcwd())
""",
}


def write_application(folder: Path) -> None:
    """Write the application's files."""
    for name, text in _FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
