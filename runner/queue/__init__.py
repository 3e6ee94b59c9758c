"""Redis and RQ, and nothing else: sending, taking, and the worker's processes."""
