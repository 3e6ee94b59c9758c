"""A package of jobs: its files are found as those beside it, and share what is not a job."""
