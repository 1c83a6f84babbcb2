"""What a blueprint composes: pages, cursors, fields, entity tags, search."""
