"""Reads what people declare: settings, pipelines, templates of steps, calendars."""
