"""Databases that are not PostgreSQL: their connections, transactions and ledgers."""
