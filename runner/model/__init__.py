"""The nouns of Headrace. Standard library only, no I/O."""
