"""A view that a query is stored as: its statement, and what it can do when columns change."""

from types import SimpleNamespace
from typing import Any, get_args

import pytest

from headrace.errors import InvalidPayload
from headrace.jobs.tables.schema_drift import OnSchemaChange
from headrace.jobs.tables.view_storage import View, refuse_policy
from headrace.template import RenderedSql

NAME = RenderedSql('"mart"."answer"', {})
QUERY = RenderedSql("SELECT 1 AS n", {})
ABLE = {
    "table": set(get_args(OnSchemaChange)),
    "view": {"fail", "append_new_columns", "recreate"},
    "materialized_view": {"fail", "recreate"},
}


def state(options: str | None = None, tablespace: str | None = None) -> Any:
    return SimpleNamespace(options=options, tablespace=tablespace)


@pytest.mark.parametrize(
    ("kind", "there", "replace", "begins"),
    [
        ("view", None, False, "CREATE VIEW {}"),
        ("view", state(), True, "CREATE OR REPLACE VIEW {}"),
        ("view", state("a='1', b='2'", "fast"), True,
         "CREATE OR REPLACE VIEW {} WITH (a='1', b='2')"),
        ("materialized_view", None, False, "CREATE MATERIALIZED VIEW {}"),
        ("materialized_view", state(), False, "CREATE MATERIALIZED VIEW {}"),
        ("materialized_view", state("fillfactor='50'", "fast"), False,
         "CREATE MATERIALIZED VIEW {} WITH (fillfactor='50') TABLESPACE fast"),
        ("materialized_view", state(None, "fast"), False,
         "CREATE MATERIALIZED VIEW {} TABLESPACE fast"),
    ],
)  # fmt: skip
def test_a_view_is_made_with_what_the_one_has_that_it_replaces(kind, there, replace, begins):
    view = View("mart.answer", kind, QUERY)

    made = view.create(NAME, there, replace=replace) if replace else view.create(NAME, there)

    assert made.display == f"{begins.format(NAME.display)} AS\nSELECT 1 AS n"


@pytest.mark.parametrize("policy", get_args(OnSchemaChange))
@pytest.mark.parametrize("kind", ABLE)
def test_what_a_view_cannot_do_when_columns_change_is_refused_with_what_it_can(kind, policy):
    if policy in ABLE[kind]:
        refuse_policy(kind, policy)
        return
    with pytest.raises(InvalidPayload) as refused:
        refuse_policy(kind, policy)

    can = {"view": "a view is one of fail, append_new_columns, recreate",
           "materialized_view": "a materialized view is one of fail, recreate"}[kind]  # fmt: skip
    assert str(refused.value) == f"on_schema_change of {can}, not {policy}"
