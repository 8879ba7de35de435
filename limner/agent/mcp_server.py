"""The tools as an MCP server, for stdio and for streamable HTTP."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ContentBlock, ImageContent, TextContent
from pydantic import Field

from limner import __version__
from limner.agent.tools import Inline, Result, Tools
from limner.errors import LimnerError

# Makes the tools of one call; over HTTP they use the key of the request.
Connect = Callable[[Context[Any, Any]], AbstractAsyncContextManager[Tools]]

Quality = Literal["low", "medium", "high"]
_PICTURE = (
    "A picture: its id (req_…, or req_…/1 for the second of a request), 'last', an address that a "
    "tool gave, or a path in the allowed folders. Never base64."
)
Picture = Annotated[str, Field(description=_PICTURE)]
Size = Annotated[str, Field(description="WIDTHxHEIGHT, sides of 64 to 3840 divisible by 16")]
N = Annotated[int, Field(ge=1, le=4, description="How many pictures")]
Seed = Annotated[int | None, Field(ge=0, description="The same seed draws the same picture")]
Shown = Annotated[
    Inline, Field(description="How the picture comes with the answer: a small WebP, whole, or not")
]
Box = Annotated[
    list[float] | None,
    Field(
        min_length=4,
        max_length=4,
        description="What may change: left, top, right, bottom as shares of the picture, 0 to 1. "
        "Without it and without `where`, 'make it blue' recolours the subject, 'turn it into a "
        "pear' draws another, and any other prompt draws only the transparent background.",
    ),
]
Where = Annotated[
    str | None,
    Field(
        max_length=200,
        description="Instead of a box: the thing in the picture to draw anew, such as 'the apple' "
        "or 'the left cat'. If it is not found, the answer says what is seen.",
    ),
]
Refine = Annotated[
    bool,
    Field(description="Look at each picture and draw it again if it is not good, three times"),
]

_INSTRUCTIONS = (
    "limner draws flat illustrations and emoji-like pictures from short prompts that name things, "
    "colours and numbers, such as 'three red apples on a table'. It knows no artists, no photos "
    "and no text in pictures. Each answer says in words what is seen (good_enough, checks, "
    "advice). If it is not good enough, apply an advice and draw again from the prompt, three "
    "times at most. An edit of an edit gets worse."
)


def build(connect: Connect) -> MCPServer[Any]:
    """Build an MCP server; each call gets its tools from `connect`."""
    logging.getLogger("mcp").setLevel(logging.WARNING)
    server: MCPServer[Any] = MCPServer(
        "limner", version=__version__, instructions=_INSTRUCTIONS, log_level="WARNING"
    )
    calls = _Calls(connect)
    for tool in (
        calls.generate_image,
        calls.edit_image,
        calls.vary_image,
        calls.look_at_image,
        calls.list_pictures,
        calls.get_picture,
    ):
        server.tool(structured_output=False)(tool)
    return server


class _Calls:
    """The tools as MCP calls them: parameters become a schema, docstrings descriptions."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def generate_image(
        self,
        prompt: str,
        context: Context[Any, Any],
        size: Size = "1024x1024",
        quality: Quality = "medium",
        n: N = 1,
        seed: Seed = None,
        background: Literal["auto", "transparent", "opaque"] = "auto",
        best_of: Annotated[int | None, Field(ge=1, le=16)] = None,
        refine: Refine = False,
        inline: Shown = "small",
    ) -> list[ContentBlock]:
        """Draw pictures from a prompt. The answer says where they are and what is seen."""
        how = {"size": size, "quality": quality, "n": n, "seed": seed}
        how |= {"background": background, "best_of": best_of, "refine": refine or None}
        report = context.report_progress
        return await self._run(context, lambda tools: tools.generate(prompt, inline, report, **how))

    async def edit_image(
        self,
        picture: Picture,
        prompt: str,
        context: Context[Any, Any],
        box: Box = None,
        where: Where = None,
        seed: Seed = None,
        quality: Quality = "medium",
        inline: Shown = "small",
    ) -> list[ContentBlock]:
        """Change a picture: draw in a box or in place of a thing, or change its colour."""
        how = {"seed": seed, "quality": quality, "where": where}
        report = context.report_progress
        return await self._run(
            context, lambda tools: tools.edit(picture, prompt, box, inline, report, **how)
        )

    async def vary_image(
        self,
        picture: Picture,
        context: Context[Any, Any],
        size: Size = "1024x1024",
        n: N = 1,
        seed: Seed = None,
        inline: Shown = "small",
    ) -> list[ContentBlock]:
        """Draw pictures like another one, without a prompt."""
        how = {"size": size, "n": n, "seed": seed}
        report = context.report_progress
        return await self._run(context, lambda tools: tools.vary(picture, inline, report, **how))

    async def look_at_image(
        self, picture: Picture, context: Context[Any, Any], asked: str | None = None
    ) -> list[ContentBlock]:
        """Say in words what a picture shows, and whether it is what was asked for."""
        return await self._run(context, lambda tools: tools.look(picture, asked))

    async def list_pictures(
        self,
        context: Context[Any, Any],
        limit: Annotated[int, Field(ge=1, le=50)] = 10,
        after: Annotated[str | None, Field(description="The id of the last one seen")] = None,
    ) -> list[ContentBlock]:
        """List what was drawn, the latest first."""
        return await self._run(context, lambda tools: tools.pictures(limit, after))

    async def get_picture(
        self, picture: Picture, context: Context[Any, Any], inline: Shown = "small"
    ) -> list[ContentBlock]:
        """Show a picture that was drawn, say where its whole file is, and what is seen."""
        return await self._run(context, lambda tools: tools.get(picture, inline))

    async def _run(
        self, context: Context[Any, Any], call: Callable[[Tools], Awaitable[Result]]
    ) -> list[ContentBlock]:
        try:
            async with self._connect(context) as tools:
                return _content(await call(tools))
        except LimnerError as error:
            text = f"{error.message} ({error.hint})" if error.hint else error.message
            raise ToolError(text) from error


def _content(result: Result) -> list[ContentBlock]:
    """The JSON as text, then the pictures; hosts drop pictures beside structured content."""
    text = json.dumps(result.values, ensure_ascii=False)
    shown = [
        ImageContent(type="image", data=base64.b64encode(data).decode("ascii"), mime_type=kind)
        for data, kind in result.pictures
    ]
    return [TextContent(type="text", text=text), *shown]
