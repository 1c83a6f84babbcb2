"""The parts of a blueprint's resource: pages, cursors, fields, entity tags, search."""
