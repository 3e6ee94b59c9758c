"""Paths of databases that are files."""

from urllib.parse import unquote, urlsplit

from headrace.errors import ConfigError


def file_of(url: str, name: str) -> str:
    """Return the path in `sqlite:////srv/shop.db`, which is absolute.

    Raises:
        ConfigError: the URL names no file.
    """
    parts = urlsplit(url)
    path = unquote(parts.path.removeprefix("/"))
    if parts.netloc or not path or path.startswith(":") or parts.query or parts.fragment:
        scheme = parts.scheme
        raise ConfigError(
            f'the URL of the connection "{name}" names no file: write {scheme}:///shop.db for one '
            f"beside config.yaml, {scheme}:////srv/shop.db for an absolute path, and in a name %3F"
            " for ?, %23 for # and %25 for %"
        )
    return path
