"""One file a workload: `run(contender, …)` measures once and returns numbers."""
