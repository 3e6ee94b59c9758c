"""Job classes and pipelines that exist, read from files and kept through broken edits."""
