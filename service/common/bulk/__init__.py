"""Bulk import and export of records as NDJSON or CSV."""
