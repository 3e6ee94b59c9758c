"""Tables in the schema `headrace` of a target's database, in which jobs keep what they remember."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.staging_table import create_schema, lock_name
from headrace.template import quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SCHEMA = "headrace"


@dataclass(frozen=True, slots=True)
class RecordTable:
    """A table `name`, made by the template `create`, on which a role needs `rights`.

    `purpose` says in an error what it is for, as in `keep watermarks`.
    """

    name: str
    create: str
    purpose: str
    rights: tuple[str, ...] = ("SELECT", "INSERT")

    @property
    def written(self) -> str:
        """The table's name with its schema."""
        return f"{SCHEMA}.{self.name}"

    def make(self, session: "Session") -> None:
        """Create the table if it is missing; jobs that find it there do not wait for each other.

        Raises:
            JobFailure: the role may neither use nor create it; says what a DBA has to run.
        """
        if self._is_ready(session):
            return
        lock_name(session, self.written)
        if not self._is_ready(session):
            create_schema(session, self.written)
            execute(session, packaged_sql(self.create))

    def is_usable(self, session: "Session") -> bool:
        """Return whether it is there and the role has the rights."""
        state = self._state(session)
        return bool(state and state.usable)

    def _state(self, session: "Session") -> Any:
        statement = packaged_sql(
            "record_rights", schema=SCHEMA, table=self.name, rights=list(self.rights)
        )
        return execute(session, statement).first()

    def _is_ready(self, session: "Session") -> bool:
        state = self._state(session)
        if state is None:
            return False
        if not state.usable and (state.there or not state.may_make):
            raise JobFailure(
                f"the role {state.role} cannot {self.purpose} in {self.written}. "
                f"Let an owner of the schema run {self._remedy(state)}"
            )
        return bool(state.usable)

    def _remedy(self, state: Any) -> str:
        role, rights = quote_name(state.role), ", ".join(self.rights)
        make = "" if state.there else " ".join(packaged_sql(self.create).display.split()) + "; "
        use = "" if state.may_use else f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}; "
        return f"{make}{use}GRANT {rights} ON {self.written} TO {role}"
