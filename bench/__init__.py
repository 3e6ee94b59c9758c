"""Headrace beside other queues, on the same work, in the same run: `make bench`."""
