"""Shows what would be sent, and what PostgreSQL says about it, without running anything."""
