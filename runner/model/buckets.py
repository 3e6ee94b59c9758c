"""The buckets of the histograms of /metrics."""

# Upper bounds in seconds; a last bucket has no bound. `headrace.total` has a count for each:
# another list needs a migration of those.
BOUNDS_S = (
    0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0,
)  # fmt: skip
