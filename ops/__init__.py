"""What `just` runs: the stack, the data, the checks of committed files."""
