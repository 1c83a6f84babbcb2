"""Search of records by a part of a text."""
