"""Checks: one kind of fault per file."""
