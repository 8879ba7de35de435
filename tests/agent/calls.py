"""What the tests of the MCP server share."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

from mcp.types import CallToolResult, ImageContent, TextContent
from PIL import Image

TOOLS = {
    "generate_image",
    "edit_image",
    "vary_image",
    "look_at_image",
    "list_pictures",
    "get_picture",
}


def values(result: CallToolResult) -> dict[str, Any]:
    """What the text of an answer says."""
    assert not result.is_error, result.content
    text = result.content[0]
    assert isinstance(text, TextContent)
    assert result.structured_content is None  # hosts drop pictures beside it
    found: dict[str, Any] = json.loads(text.text)
    return found


def refusal(result: CallToolResult) -> str:
    """The words of a failure."""
    assert result.is_error
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


def shown(result: CallToolResult) -> list[tuple[str, tuple[int, int], int]]:
    """Type, size and bytes of each inline picture."""
    found = []
    for content in result.content[1:]:
        assert isinstance(content, ImageContent)
        data = base64.b64decode(content.data, validate=True)
        with Image.open(io.BytesIO(data)) as image:
            found.append((content.mime_type, image.size, len(content.data)))
    return found
