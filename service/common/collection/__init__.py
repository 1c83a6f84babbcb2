"""The records of a collection that a selection names, as a page or as lines."""
