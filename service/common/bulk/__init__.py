"""Bulk import and export: many records in a body of lines."""
