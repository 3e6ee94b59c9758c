"""PostgreSQL, and nothing else: named statements, connections, migrations."""
