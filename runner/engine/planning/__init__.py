"""Turns a pipeline and given values into a plan, and renders what a template may say."""
