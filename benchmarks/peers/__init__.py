"""The same four routes as the service has them, written as each framework's documentation does."""
