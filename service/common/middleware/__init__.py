"""Hooks that belong to no feature, one per file."""
