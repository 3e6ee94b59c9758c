"""What exists: job classes and pipelines, read from files and kept through broken edits."""
