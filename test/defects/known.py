"""Kinds whose cause check does not name, and why: (area, name) -> reason. They count as not found; a kind that is found
should leave this list."""
NOT_FOUND = {}
