"""What a view takes and answers beside JSON: features such as bulk import declare it."""

from service.common.contract.parts import Document

# The attribute of a view that has content beside JSON, by status, or by REQUEST.
MORE_CONTENT = "more_content"
REQUEST = "requestBody"


def add_content(operation: Document, view: object) -> None:
    """Add to an operation what its view has beside JSON."""
    for place, content in getattr(view, MORE_CONTENT, {}).items():
        part = operation[REQUEST] if place == REQUEST else operation["responses"][place]
        for media_type, more in content.items():
            known = part["content"].get(media_type)
            schema = {"anyOf": [known["schema"], more["schema"]]} if known else more["schema"]
            # A copy: quart-schema hands one part to several operations.
            part["content"] = part["content"] | {media_type: more | {"schema": schema}}
