"""Lines of text as records: many at once, all or none."""
