"""Changes and repairs what exists, for a person or for the leading daemon."""
