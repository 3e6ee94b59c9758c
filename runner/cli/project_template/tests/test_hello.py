"""A pipeline of this project in a test, without daemon, worker and Redis."""

from headrace.testing import FreshDatabase, run_pipeline


def test_hello_greets_and_counts(db: FreshDatabase) -> None:
    run = run_pipeline("hello", {"greeting": "Good day"}, database=db)

    assert run.status == "completed", run
    assert run.steps["count"].result == {"greetings": 1}
    assert db.rows("SELECT words FROM public.greeting") == [{"words": "Good day"}]
