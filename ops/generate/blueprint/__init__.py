"""Commands that write and remove a blueprint: a resource with its own fields."""
