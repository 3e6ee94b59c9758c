"""`{{ … }}` is a value for the server, of whatever kind and whatever stands beside it."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from headrace.errors import HeadraceError
from headrace.jobs.run_sql import RunSql
from headrace.jobs.sql.packaged import execute as send
from headrace.template import render
from tests.support.attempts import engine_for

POSINT = "CREATE DOMAIN posint AS integer CHECK (value > 0)"


@pytest.fixture(scope="module")
def engine(servers):
    engine = engine_for(servers.database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def value_of(engine):
    """Return what the server makes of a template; nothing stays."""

    def value_of(source, *before, **variables):
        sql = render(f"SELECT {source}", variables)
        with engine.connect() as connection:
            for statement in before:
                connection.exec_driver_sql(statement)
            return send(connection, sql).scalar_one()

    return value_of


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (-5, "integer"), (5, "integer"), (0, "integer"), (-32768, "smallint"),
        (-2147483648, "integer"), (-9223372036854775808, "bigint"), (10**30, "numeric"),
        (-(10**30), "numeric"), (1.5, "float8"), (-1.5, "float8"), (1e-7, "float8"),
        (-1e300, "float8"),
        (Decimal("-1.50"), "numeric"), (Decimal("12345678901234567.89"), "numeric"),
        (True, "boolean"), (False, "boolean"), ("", "text"), ("a'b", "text"), ("\\", "text"),
        ("\\' ; --", "text"), ("E'\\n'", "text"), ("a\nb\t%s %(x)s :p1", "text"), ("$$", "text"),
        ("ä表😀", "text"), (";", "text"), (date(2026, 2, 28), "date"),
        (time(12, 30, 0, 5), "time"),
        (datetime(2026, 2, 28, 12, 30), "timestamp"),
        (datetime(2026, 2, 28, 12, 30, tzinfo=UTC), "timestamptz"),
        (timedelta(days=-1, seconds=3), "interval"), (timedelta(days=400), "interval"),
        (b"\x00\xff\\'", "bytea"), (UUID(int=5), "uuid"),
        ([-1, 2, None], "integer[]"), ([], "text[]"),
        (["a", "b,c", "\\", '"', "{}", None, ";"], "text[]"), ([[1, 2], [3, 4]], "integer[]"),
        ([date(2026, 1, 1)], "date[]"), ([True, False], "boolean[]"),
        ([Decimal("-1.5")], "numeric[]"),
        (None, "text"), (None, "integer"), (None, "date[]"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("written", ["{{ v }}::%s", "cast({{ v }} as %s)", "({{ v }} :: %s)"])
def test_a_value_arrives_as_it_is(value_of, value, kind, written):
    found = value_of(written % kind, v=value)

    assert (bytes(found) if isinstance(found, memoryview) else found) == value


@pytest.mark.parametrize(
    ("value", "kind"), [({"a": [1, "x'\\", None]}, "jsonb"), ([{"a": -1}, {"a": "ü;"}], "json")]
)
def test_a_mapping_arrives_as_json(value_of, value, kind):
    assert value_of(f"{{{{ v }}}}::{kind}", v=value) == value


def test_a_negative_number_is_checked_as_a_whole(value_of):
    with pytest.raises(Exception, match="violates check constraint"):
        value_of("{{ n }}::posint", POSINT, n=-5)
    assert value_of("{{ n }}::posint", POSINT, n=5) == 5


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("'x' || {{ n }}::text", "x-5"),
        ("{{ n }} ^ 2", 25),
        ("-{{ n }}", 5),
        ("3-{{ n }}", 8),
        ("3 - {{ n }}::int", 8),
        ("abs({{ n }})", 5),
        ("{{ xs }}[1]", -5),
        ("({{ xs }})[2]", 6),
        ('{{ t }} COLLATE "C"', "ab"),
        ("{{ d }} at time zone 'UTC'", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("date {{ day }} + 1", date(2026, 1, 2)),
        ("date {{ day }}::text", "2026-01-01"),
        ("interval {{ span }}::text", "1 day"),
        ("{{ t }}::text || {{ t }}::text", "abab"),
        ("5 in {{ xs | inlist }}", False),
        ("{{ n }} = any({{ xs }}::int[])", True),
        ("{{ n }} between -6 and {{ n }}", True),
        ("'[1,2]'::jsonb -> {{ n + 3 }}", 1),
    ],
)
def test_a_value_is_one_whatever_stands_beside_it(value_of, source, expected):
    given = {
        "n": -5, "xs": [-5, 6], "t": "ab", "d": datetime(2026, 1, 1, 12), "day": "2026-01-01",
        "span": "1 day",
    }  # fmt: skip
    assert value_of(source, **given) == expected


def test_a_value_inside_quotes_is_refused_with_what_to_write(value_of):
    with pytest.raises(HeadraceError, match=r"write \{\{ … \}\} without quotes"):
        value_of("'x{{ n }}'", n=1)


def test_a_script_of_the_users_binds_in_the_same_way(run_job, execute):
    execute(POSINT)

    with pytest.raises(Exception, match="violates check constraint"):
        run_job(RunSql, sql="SELECT {{ params.n }}::public.posint", params={"n": -5})
    with pytest.raises(HeadraceError, match="endraw"):
        run_job(RunSql, sql="SELECT '{{1,2},{3,4}}'::int[]")
    result = run_job(RunSql, sql="SELECT '{% raw %}{{1,2},{3,4}}{% endraw %}'::int[] AS a")
    assert result["rows"] == [{"a": [[1, 2], [3, 4]]}]
