"""What every blueprint stands on; nothing here knows of one, and only `middleware` of Quart."""
