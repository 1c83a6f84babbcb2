"""Media types of a view in addition to JSON, declared by features such as bulk import."""

from service.common.contract.parts import Document

# The attribute of a view with its content other than JSON, by status or REQUEST.
MORE_CONTENT = "more_content"
REQUEST = "requestBody"


def add_content(operation: Document, view: object) -> None:
    """Add the view's content other than JSON to its operation."""
    for place, content in getattr(view, MORE_CONTENT, {}).items():
        part = operation[REQUEST] if place == REQUEST else operation["responses"][place]
        for media_type, more in content.items():
            known = part["content"].get(media_type)
            schema = {"anyOf": [known["schema"], more["schema"]]} if known else more["schema"]
            # A copy: quart-schema shares one part among several operations.
            part["content"] = part["content"] | {media_type: more | {"schema": schema}}
