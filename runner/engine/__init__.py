"""Use cases: what fetches facts, asks the plan, writes the store, and sends."""
