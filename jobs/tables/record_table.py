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
        if self.is_usable(session):
            return
        lock_name(session, self.written)
        if not self.is_usable(session):
            create_schema(session, self.written)
            execute(session, packaged_sql(self.create))

    def is_usable(self, session: "Session", *, told: bool = True) -> bool:
        """Return whether the role can use the table; False if it is missing and can be made.

        Raises:
            JobFailure: neither, with what a DBA has to run; only if it is to be `told`.
        """
        statement = packaged_sql(
            "record_rights", schema=SCHEMA, table=self.name, rights=list(self.rights)
        )
        state = execute(session, statement).first()
        if state is None:
            return False
        if told and not state.usable and (state.there or not state.may_make):
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
