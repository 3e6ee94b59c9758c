"""Plans that a dispatch finds, and holds against `prune`."""

from uuid import UUID

from headrace.model.ids import new_id
from tests.support.run_rows import RunRows
from tests.support.servers import connect


def plan_of(made: RunRows) -> UUID:
    """Insert a plan that no run has, so old that it may go."""
    one = new_id()
    made.rows.sql("INSERT INTO headrace.plan VALUES (%(id)s, '[]', '2020-01-01')", id=str(one))
    return one


def test_a_dispatch_holds_its_plans_and_waits_for_no_other(made: RunRows) -> None:
    ours, absent, others = plan_of(made), new_id(), plan_of(made)
    with connect(made.rows.url) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT FROM headrace.plan WHERE id = %s FOR UPDATE", (str(others),))
        with made.rows.database.transaction() as tx:
            tx.connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")

            held = tx.rows("hold_plans", ids=[ours, absent])

            assert [row["id"] for row in held] == [ours]
            cursor.execute("ROLLBACK")
            made.rows.database.rows("prune_plans", older_than_s=1.0)
            left = made.rows.sql("SELECT id FROM headrace.plan")
    assert [UUID(str(row["id"])) for row in left] == [ours]
