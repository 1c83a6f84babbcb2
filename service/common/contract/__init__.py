"""The contract: schema files to validators, strict parsing, and the parts of OpenAPI."""
