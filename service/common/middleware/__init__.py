"""Hooks that belong to no feature, one a file."""
