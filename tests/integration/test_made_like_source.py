"""Tables that MirrorTable makes: identity, defaults and checks of the source, as far as can be."""

import pytest

from headrace.jobs.mirror_table import MirrorTable
from tests.integration.test_jobs_between_servers import run

SOURCE = (
    "CREATE SCHEMA s",
    "CREATE FUNCTION s.only_there() RETURNS text LANGUAGE sql AS 'SELECT ''x''::text'",
    (
        "CREATE TABLE s.item (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, no serial,"
        " made timestamptz DEFAULT now(), note text DEFAULT s.only_there(),"
        " price numeric CONSTRAINT not_free CHECK (price > 0), card text,"
        " twice numeric GENERATED ALWAYS AS (price * 2) STORED,"
        " CONSTRAINT long CHECK (length(card) > 2))"
    ),
    "INSERT INTO s.item (price, card) VALUES (1, 'abc'), (2, 'def')",
)


@pytest.fixture
def there(run_job, second):
    run_job.engines["there"] = second
    run(second, *SOURCE)


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    "given",
    [
        {"source_table": "s.item", "target_table": "s.item", "mask": {"card": "partial:1"}},
        {"tables": ["s.item"], "mask": {"s.item.card": "partial:1"}},
    ],
    ids=["one", "several"],
)
def test_a_made_table_has_what_the_target_can_have_and_the_log_names_the_rest(
    run_job, query, execute, caplog, given
):
    run_job(MirrorTable, source_connection="there", **given)

    identity = "SELECT attname, attidentity FROM pg_attribute WHERE attidentity <> ''"
    of_item = " AND attrelid = 's.item'::regclass ORDER BY 1"
    assert query(identity + of_item) == [("id", "d"), ("no", "d")]
    assert query("SELECT conname FROM pg_constraint WHERE contype = 'c'"
                 " AND conrelid = 's.item'::regclass") == [("not_free",)]  # fmt: skip
    execute("INSERT INTO s.item (price) VALUES (3)")
    assert query("SELECT id, no, made IS NOT NULL, note FROM s.item WHERE price = 3") == [
        (3, 3, True, None)
    ]
    said = caplog.text
    assert "the default of s.item.note is left out: " in said, said
    assert "The check long of s.item is left out" in said
    assert "s.item.twice is stored as it was calculated" in said
    run_job(MirrorTable, source_connection="there", **given)
    assert query("SELECT count(*) FROM s.item") == [(2,)]


def test_checks_of_all_columns_and_of_none_are_made_and_one_of_a_renamed_column_is_not(
    run_job, query, second, caplog
):
    run_job.engines["there"] = second
    run(second, "CREATE TABLE pair (a int, b int, CONSTRAINT both_ CHECK (a < b),"
        " CONSTRAINT no_column CHECK (1 < 2), CONSTRAINT last_ CHECK (b > 0))")  # fmt: skip
    checks = "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = '{}'::regclass"
    with_ = {"source_table": "pair", "source_connection": "there"}

    run_job(MirrorTable, **with_, target_table="whole")
    assert sorted(query(checks.format("whole"))) == [("both_",), ("last_",), ("no_column",)]
    assert "is left out" not in caplog.text

    run_job(MirrorTable, **with_, target_table="other", select=["b as c"])
    assert query(checks.format("other")) == [("no_column",)]
    assert sorted(one for one in caplog.messages if "is left out" in one) == [
        f"The check {name} of pair is left out: it is of columns that are not copied as they are"
        for name in ("both_", "last_")
    ]
