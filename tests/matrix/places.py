"""The places in which the matrix runs its jobs: databases that a pipeline can name."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from headrace.store.statements import STATEMENTS
from tests.support.places import (
    PASSWORD,
    Server,
    debian_programs,
    pgbouncer,
    run_as_owner,
    second_server,
    wheel_programs,
)
from tests.support.roles import create_role
from tests.support.servers import database_name

NAMES = ("control", "beside", "debian", "wheel", "dba", "latin1", "berlin", "bouncer")
"""`control`: the embedded control database. `beside`: another database of that server.
`debian`, `wheel`: servers of other major versions. `dba`: a role that may create no schema, whose
ledger a DBA has made. `latin1`, `berlin`: a database with that encoding, with that time zone.
`bouncer`: through PgBouncer in session mode."""

_ROLE = "etl"


@dataclass(frozen=True, slots=True)
class Place:
    """A database: `url` is the jobs' role's, `admin` may make schemas for it there.

    `connection` is its name in config.yaml, None for the control database; `offset` is how a
    time of July 2026 without a zone ends once it is stored and read there.
    """

    name: str
    connection: str | None
    url: str
    admin: str
    role: str
    offset: str = "+00"

    def made_schema(self, schema: str) -> tuple[str, str]:
        """Return what makes a schema that belongs to the jobs' role: a URL and a statement."""
        return self.admin, f'CREATE SCHEMA "{schema}" AUTHORIZATION "{self.role}"'


@contextmanager
def servers() -> Iterator[Mapping[str, Server]]:
    """Yield the second servers: `debian` and `wheel`."""
    with ExitStack() as stack:
        yield {
            "debian": stack.enter_context(second_server(debian_programs())),
            "wheel": stack.enter_context(second_server(wheel_programs())),
        }


@contextmanager
def places_on(control_url: str, others: Mapping[str, Server]) -> Iterator[dict[str, Place]]:
    """Make every place's database and yield the places by name; see `NAMES`."""
    debian, wheel = others["debian"], others["wheel"]
    for server in (debian, wheel):
        server.execute(f"CREATE ROLE {_ROLE} LOGIN PASSWORD '{PASSWORD}'")
    # Created by the control database's own role, as a user of the embedded server does it.
    run_as_owner(control_url, create_role(_ROLE, f"LOGIN PASSWORD '{PASSWORD}'"))
    made = [Place("control", None, control_url, control_url, _role_of(control_url))]
    made += [_on_embedded(control_url, "beside"), _latin1(control_url)]
    made += [_on(debian, "debian"), _on(wheel, "wheel"), _dba(wheel), _berlin(debian)]
    with pgbouncer(wheel) as port:
        direct = _on(wheel, "bouncer")
        url = f"postgresql://{_ROLE}:{PASSWORD}@127.0.0.1:{port}/{database_name(direct.url)}"
        made.append(Place("bouncer", "bouncer", url, direct.admin, _ROLE))
        yield {place.name: place for place in made}


def _role_of(control_url: str) -> str:
    return control_url.partition("://")[2].partition("@")[0].partition(":")[0]


def _on(server: Server, name: str, *clauses: str) -> Place:
    server.execute(f'CREATE DATABASE "{name}" OWNER {_ROLE} {" ".join(clauses)}')
    admin = server.url.replace("/postgres?", f"/{name}?")
    return Place(name, name, server.url_for(name, _ROLE), admin, _ROLE)


def _on_embedded(control_url: str, name: str, *clauses: str) -> Place:
    run_as_owner(control_url, f'CREATE DATABASE "{name}" {" ".join(clauses)}')
    admin = _other_database(control_url, name)
    run_as_owner(admin, f'GRANT CREATE ON DATABASE "{name}" TO {_ROLE}')
    # The role that makes schemas for another one has to be a member of it.
    run_as_owner(admin, f"GRANT {_ROLE} TO CURRENT_USER WITH SET TRUE")
    return Place(name, name, admin.replace(_role_of(control_url), _ROLE, 1), admin, _ROLE)


def _other_database(url: str, name: str) -> str:
    before, _, after = url.partition("?")
    return f"{before.rpartition('/')[0]}/{name}" + (f"?{after}" if after else "")


def _latin1(control_url: str) -> Place:
    clauses = "ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
    return _on_embedded(control_url, "latin1", clauses)


def _berlin(server: Server) -> Place:
    place = _on(server, "berlin")
    server.execute("ALTER DATABASE berlin SET timezone = 'Europe/Berlin'")
    return Place(place.name, place.connection, place.url, place.admin, place.role, "+02")


def _dba(server: Server) -> Place:
    """Make a database whose role may create no schema; its ledger is there already."""
    server.execute("CREATE DATABASE dba", "REVOKE CREATE ON DATABASE dba FROM PUBLIC")
    admin = server.url.replace("/postgres?", "/dba?")
    run_as_owner(
        admin,
        STATEMENTS["make_schema"].sql,
        STATEMENTS["make_ledger"].sql,
        f"GRANT USAGE ON SCHEMA headrace TO {_ROLE}",
        f"GRANT SELECT, INSERT, DELETE ON headrace.ledger TO {_ROLE}",
    )
    return Place("dba", "dba", server.url_for("dba", _ROLE), admin, _ROLE)
