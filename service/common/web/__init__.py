"""The application, a request, its body and its answer."""
