"""An error in SQL tells what the server said, and where in the user's text."""

from pathlib import Path
from typing import Any

import pytest

from headrace.engine.attempts.outcome import raised
from headrace.jobs.check_data import CheckData
from headrace.jobs.run_sql import RunSql
from headrace.template.written import forget_texts
from tests.support.attempts import JobRunner


@pytest.fixture
def failed(target, tmp_path: Path):
    """Run a job that fails and return what its row would say."""

    def failed(job: Any, **with_: Any) -> str:
        forget_texts()
        runner = JobRunner({None: target}, search_path=(tmp_path,), project=tmp_path)
        with pytest.raises(Exception, match=r".") as caught:
            runner(job, **with_)
        return raised(caught.value).error

    return failed


def test_an_error_names_the_file_the_line_and_the_condition(failed, tmp_path):
    (tmp_path / "x.sql").write_text(
        "select 1;\n\n{% for n in [1, 2] %}\nselect {{ n }}\n  from nowhere;\n{% endfor %}"
    )

    told = failed(RunSql, sql_path="x.sql")

    assert told.startswith('x.sql:5: relation "nowhere" does not exist [undefined_table]\n')
    assert "  line: from nowhere" in told


@pytest.mark.parametrize("job", [RunSql, CheckData])
def test_a_statement_that_nobody_wrote_is_not_shown_nor_a_librarys_link(failed, job):
    told = failed(job, sql="select 'a;b',\n {{ params.n }} / 0, 'x' || '", params={"n": 5})
    also = failed(job, sql="select *\nfrom nowhere where a = {{ params.n }}", params={"n": "it's;"})

    for one in (told, also):
        assert "sqlalche.me" not in one
        assert "CURSOR" not in one and "%(p1)s" not in one
    assert "[syntax_error]" in told
    assert also.startswith('sql:2: relation "nowhere" does not exist [undefined_table]')


def test_a_value_that_fails_without_a_place_names_its_statement(failed):
    told = failed(RunSql, sql="select 1; select {{ params.n }} / 0 as share", params={"n": 5})

    assert (
        told == "division by zero [division_by_zero]\nin statement 2 of 2: select :p1 / 0 as share"
    )


def test_an_error_has_the_servers_detail_and_hint(failed):
    told = failed(
        RunSql,
        sql="create temp table u (a int primary key) on commit drop;"
        " insert into u values (1); insert into u values (1)",
    )
    hinted = failed(RunSql, sql="select lenght('a')")

    assert "[unique_violation]" in told
    assert "  detail: Key (a)=(1) already exists." in told
    assert "  hint: " in hinted and "[undefined_function]" in hinted
