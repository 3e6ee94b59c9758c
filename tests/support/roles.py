"""Roles are the server's: they outlive the database of the test that makes them."""


def create_role(name: str, options: str = "") -> str:
    """Return the SQL that makes a role where the server does not have it."""
    made = f"CREATE ROLE {name} {options}".rstrip()
    return f"DO $$ BEGIN {made}; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
