"""A home as an earlier version made it: its role `headrace` is the bootstrap superuser."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

from headrace.store import embedded
from tests.support.cli import REPOSITORY

# The last version of that kind.
COMMIT = "f50d98e"

_START = """\
import sys
from pathlib import Path
from runner import embedded
from runner.store.migrations import upgrade
upgrade(embedded.start(Path(sys.argv[1])).database_url)
"""

# What an installation of some months may hold, each thing owned by the superuser of then.
CONTENT = """\
CREATE SCHEMA mart;
CREATE TABLE mart.orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, region text NOT NULL, amount numeric(12, 2)
);
CREATE TABLE public.serial (id serial PRIMARY KEY);
CREATE INDEX ON mart.orders (region);
INSERT INTO mart.orders (region, amount) SELECT 'eu', n FROM generate_series(1, 100) n;
CREATE VIEW mart.totals AS SELECT region, sum(amount) AS total FROM mart.orders GROUP BY region;
CREATE MATERIALIZED VIEW mart."Kept totals" AS SELECT * FROM mart.totals;
CREATE SEQUENCE mart.numbers;
CREATE TYPE mart.mood AS ENUM ('glad', 'sad');
CREATE TYPE mart.pair AS (a int, b int);
CREATE TYPE mart.span AS RANGE (subtype = int);
CREATE DOMAIN mart.positive AS int CHECK (VALUE > 0);
CREATE FUNCTION mart.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n * 2';
CREATE FUNCTION mart.secret() RETURNS bigint LANGUAGE sql SECURITY DEFINER
  AS 'SELECT count(*) FROM mart.orders';
CREATE PROCEDURE mart.refresh() LANGUAGE plpgsql AS $$ BEGIN
  REFRESH MATERIALIZED VIEW mart."Kept totals"; END $$;
CREATE AGGREGATE mart.total(numeric) (SFUNC = numeric_add, STYPE = numeric);
CREATE AGGREGATE mart.many(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
CREATE OPERATOR mart.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
CREATE COLLATION mart.german (provider = builtin, locale = 'C');
CREATE STATISTICS mart.together ON region, amount FROM mart.orders;
CREATE TEXT SEARCH CONFIGURATION mart.words (COPY = simple);
CREATE TABLE mart.parted (day date) PARTITION BY RANGE (day);
CREATE TABLE mart.parted_2026 PARTITION OF mart.parted
  FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE EXTENSION hstore SCHEMA public;
CREATE EXTENSION pg_stat_statements SCHEMA public;
CREATE TABLE mart.labelled (id int, tags public.hstore);
SELECT lo_from_bytea(4711, 'large');
CREATE ROLE reporting;
CREATE ROLE member LOGIN;
GRANT headrace TO member;
CREATE ROLE opens LOGIN;
GRANT pg_execute_server_program TO opens;
CREATE TABLE mart.theirs (id int);
ALTER TABLE mart.theirs OWNER TO reporting;
GRANT SELECT ON mart.orders TO reporting;
ALTER DEFAULT PRIVILEGES IN SCHEMA mart GRANT SELECT ON TABLES TO reporting;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER TABLE mart.labelled ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_mine ON mart.labelled TO headrace USING (true);
ALTER ROLE headrace SET work_mem = '5MB';
"""


def make_old_home(home: Path, scratch: Path) -> None:
    """Make a home with the code of then, where the clone has it, and fill it; it is stopped."""
    archive = subprocess.run(
        ["git", "archive", COMMIT, "runner", "jobs", "schema"],
        cwd=REPOSITORY, capture_output=True, check=False,
    )  # fmt: skip
    if archive.returncode == 0:
        old = scratch / "code-of-then"
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(old, filter="data")
        environ = {**os.environ, "PYTHONPATH": str(old)}
        subprocess.run([sys.executable, "-c", _START, str(home)], cwd=old, env=environ, check=True)
    else:
        _make_by_hand(home)
    psql(embedded.urls(home).database_url, CONTENT)
    psql(embedded.urls(home).database_url, "CREATE DATABASE other", "CREATE DATABASE closed")
    other = embedded.urls(home).database_url.replace("@/headrace", "@/other")
    psql(other, "CREATE TABLE public.kept AS SELECT 1 AS one")
    psql(other, "ALTER DATABASE closed ALLOW_CONNECTIONS false")
    embedded.stop(home)


def psql(url: str, *statements: str, check: bool = True) -> str:
    """Run statements with psql, each committed by itself; returns what it printed."""
    program = embedded.postgres.programs(embedded.place.place_of(Path("unused"))) / "psql"
    words = [str(program), url, "-XAtq", "-v", "ON_ERROR_STOP=1"]
    for statement in statements:
        words += ["-c", statement]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip() or done.stderr.strip()


def _make_by_hand(home: Path) -> None:
    """As the code of then did: initdb in the role's name, then its database."""
    from headrace.store.embedded import place, postgres, process
    from headrace.store.migrations import upgrade

    where = place.place_of(home)
    place.prepare(where)
    binaries = postgres.programs(where)
    identity = process.acceptable_identity(where.data, (where.home, where.sockets, binaries))
    where.data.mkdir(mode=0o700)
    postgres._give_data(where.data, identity)
    make = [str(binaries / "initdb"), "-D", str(where.data), "-U", "headrace", "--auth=trust"]
    make += ["-E", "UTF8", "--locale=C", "-c", "listen_addresses="]
    assert process.run(identity, make, cwd=where.data)[0] == 0
    single = [str(binaries / "postgres"), "--single", "-D", str(where.data), "postgres"]
    made = "CREATE DATABASE headrace;\n"
    assert process.run(identity, single, cwd=where.data, given=made)[0] == 0
    postgres._launch(where, binaries, identity)
    upgrade(embedded.urls(home).database_url)
