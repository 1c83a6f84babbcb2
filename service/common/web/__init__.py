"""The application, requests, bodies and responses."""
