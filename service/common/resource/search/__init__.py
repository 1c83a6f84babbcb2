"""Records by a part of a text."""
