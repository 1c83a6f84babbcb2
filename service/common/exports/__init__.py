"""Records as lines of text: NDJSON and CSV."""
