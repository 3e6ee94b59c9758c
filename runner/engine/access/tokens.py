"""Tokens with a role: 256 random bits, of which only the hash is stored."""

import hmac
import re
import secrets
from contextlib import suppress
from hashlib import sha256

from headrace.errors import ConfigError, NameInUse, NotFound, StoreUnavailable
from headrace.model.caller import Caller, Role, Via
from headrace.model.ids import new_id
from headrace.store.database import Row, Transaction

# Programs that search repositories for secrets find it by this.
PREFIX = "hrt_"
# Who has the token that every installation has is known by where it lies.
OF_THE_ENVIRONMENT = "HEADRACE_API_TOKEN"
OF_THE_HOME = "HEADRACE_HOME/token"

_BYTES = 32
_TOKEN = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")


def create_token(database: Transaction, name: str, role: Role) -> Row:
    """Create a token and return its row; `token` in it is never shown again.

    Raises:
        ConfigError: No token can have this name.
        NameInUse: One has it.
    """
    if not _NAME.fullmatch(name) or name == OF_THE_ENVIRONMENT:
        raise ConfigError(
            f'"{name}" cannot be the name of a token: it takes up to 63 letters, digits'
            " and . _ @ -, the first a letter or a digit"
        )
    token = PREFIX + secrets.token_urlsafe(_BYTES)
    row = database.row("create_token", id=new_id(), name=name, role=role, hash=hash_of(token))
    if row is None:
        raise NameInUse(
            f'a token "{name}" exists; choose another name, or `headrace token revoke {name}` first'
        )
    return {**row, "token": token}


def revoke_token(database: Transaction, name: str) -> Row:
    """Revoke a token and return its row; its sessions are over with it, at once.

    Raises:
        NotFound: No token that is in use has this name.
    """
    row = database.row("revoke_token", name=name)
    if row is None:
        raise NotFound(f'no token "{name}" is in use; `headrace token list` shows them')
    return row


def is_token(text: str) -> bool:
    """Return whether a text has the form of a token with a role."""
    return _TOKEN.fullmatch(text) is not None


def without_tokens(text: str) -> str:
    """Return a text in which no token can be read: somebody may have put one into a path."""
    return _TOKEN.sub(f"{PREFIX}***", text)


def hash_of(secret: str) -> str:
    """Return what is stored of a token, or of a session's cookie."""
    return sha256(secret.encode()).hexdigest()


def caller_of_token(database: Transaction, token: str) -> Caller | None:
    """Return whose token it is; None if it is wrong or revoked.

    Raises:
        StoreUnavailable: PostgreSQL does not answer.
    """
    if not is_token(token):
        return None
    given = hash_of(token)
    row = database.row("token_by_hash", hash=given)
    if row is None or not hmac.compare_digest(row["hash"], given):
        return None
    if row["unseen"]:
        # A server that takes no writes answers all the same.
        with suppress(StoreUnavailable):
            database.rows("see_token", id=row["id"])
    return Caller(row["name"], Role(row["role"]), Via.TOKEN, token_id=row["id"])
