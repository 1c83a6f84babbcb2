"""The committed files that are made from code, and the lock files."""
