"""Short jobs of one child share commits; its parent completes them while the next one takes long.

See docs/adr/0010-short-jobs-share-a-commit.md.
"""
