"""Who may do what (tokens and sessions of the page), and who did what (the audit trail)."""
