"""The contract: validators from schema files, strict parsing, and the parts of OpenAPI."""
