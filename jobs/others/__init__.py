"""Rows of SQLite, MySQL, MariaDB and DuckDB, to and from PostgreSQL's types and texts.

Between two databases a value is the text that PostgreSQL writes for it, and a type has the name
that PostgreSQL gives it.
"""
