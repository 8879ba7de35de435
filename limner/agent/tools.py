"""The tools: draw, edit, vary, look, list, fetch. Independent of MCP.

A picture is named by its id ("req_…" or "req_…/1" for the second one), by "last", by an address
from a tool, or by a path in the allowed folders. Bytes are not accepted: they do not fit into a
model's context.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from limner.agent import names, picture_files
from limner.agent.api import FILES, HISTORY, LOOK, Api, ApiFailure, new_id
from limner.agent.folders import Folders, slug
from limner.agent.names import Kept
from limner.errors import LimnerError
from limner.text import followups

Inline = Literal["none", "small", "full"]
Report = Callable[[float, float | None, str], Awaitable[None]]

MAX_FULL_BYTES = 700_000  # hosts accept 1 MB, and base64 adds a third
_POLL_S = 0.4
_ALL = (0.0, 0.0, 1.0, 1.0)  # of a picture, as a box
_SEEN = ("good_enough", "alt", "alt_zh", "seen", "checks", "unknown_words", "advice")


class WrongPicture(LimnerError):
    """There is no picture with the given name."""


@dataclass
class Result:
    """The answer of a tool: values for the text, and pictures to show."""

    values: dict[str, Any]
    pictures: list[tuple[bytes, str]] = field(default_factory=list)  # (file, media type)


class Tools:
    """The tools of one server."""

    def __init__(self, api: Api, folders: Folders | None = None) -> None:
        """Without `folders`, as over the network, results have addresses and no paths."""
        self._api, self._folders = api, folders

    async def generate(self, prompt: str, inline: Inline, report: Report, **how: Any) -> Result:
        """Draw pictures from a prompt."""
        body = {"prompt": prompt, "response_format": "url", "model": "default", **_given(how)}
        send = {"json": body}
        return await self._drawn("/v1/images/generations", send, prompt, inline, report)

    async def edit(
        self,
        picture: str,
        prompt: str,
        box: Sequence[float] | None,
        inline: Inline,
        report: Report,
        **how: Any,
    ) -> Result:
        """Edit a picture, or only its part in `box` (left, top, right, bottom, 0 to 1).

        `where` in `how` names a thing instead of a box. Without both, "make it blue" is joined with
        the prompt of the picture, and "turn it into a pear" draws all of it anew.
        """
        if box is not None and how.get("where"):
            raise WrongPicture("A box was given, and words for one too", hint="give one of them")
        if box is None and not how.get("where") and followups.changes_subject(prompt):
            prompt, box = await self._follow_up(picture, prompt)
        data = await self._read(picture)
        files = {"image": ("image", data)}
        if box is not None:
            files["mask"] = ("mask.png", await asyncio.to_thread(picture_files.box_mask, data, box))
        form = {"prompt": prompt, "response_format": "url", "model": "default"}
        send = {"data": form | _text(how), "files": files}
        return await self._drawn("/v1/images/edits", send, prompt, inline, report)

    async def vary(self, picture: str, inline: Inline, report: Report, **how: Any) -> Result:
        """Draw variations of a picture."""
        files = {"image": ("image", await self._read(picture))}
        form = {"response_format": "url", "model": "default"}
        send = {"data": form | _text(how), "files": files}
        return await self._drawn("/v1/images/variations", send, None, inline, report)

    async def look(self, picture: str, asked: str | None) -> Result:
        """Describe what a picture shows."""
        return Result({"picture": picture} | await self._look(await self._read(picture), asked))

    async def pictures(self, limit: int, after: str | None) -> Result:
        """List the latest pictures."""
        query = {"limit": limit} | ({"after": after} if after else {})
        page = await self._api.get(HISTORY, **query)
        rows = [names.listed(row) for row in page["data"]]
        return Result({"requests": rows, "has_more": page["has_more"]})

    async def get(self, picture: str, inline: Inline) -> Result:
        """Get one picture as a file or an address, inline, and what it shows."""
        data = await self._read(picture)
        kept = await self._kept(picture)
        values: dict[str, Any] = kept.about if kept else {"picture": picture}
        prompt = kept.prompt if kept else ""
        if self._folders or kept:
            url = kept.url if kept else ""
            values |= await self._placed(data, url, slug(prompt or "picture"))
        shown = await self._inline(data, inline, values)
        return Result(values | await self._look_if_allowed(data, prompt or None), shown)

    async def _follow_up(self, picture: str, prompt: str) -> tuple[str, Sequence[float] | None]:
        """The whole prompt of a follow-up to a picture, and the box that it is about."""
        kept = await self._kept(picture)
        earlier = kept.prompt if kept else None
        whole = followups.other_thing(prompt) or followups.joined(earlier, prompt)
        return whole, None if followups.recolouring(whole) else _ALL

    async def _drawn(
        self,
        path: str,
        send: Mapping[str, Any],
        prompt: str | None,
        inline: Inline,
        report: Report,
    ) -> Result:
        body, headers = await self._followed(path, send, report)
        id, seed = headers["x-request-id"], int(headers["x-limner-seed"])
        values: dict[str, Any] = {"pictures": []}
        if notice := headers.get("x-limner-notice"):
            values["notice"] = notice
        shown: list[tuple[bytes, str]] = []
        for index, item in enumerate(body["data"]):
            data = await self._api.bytes(names.local(item["url"]))
            about = {"picture": names.name(id, index), "seed": seed}
            about |= await self._placed(data, item["url"], f"{slug(prompt or 'variation')}-{seed}")
            shown += await self._inline(data, inline, about)
            about |= await self._look_if_allowed(data, prompt)
            values["pictures"].append(about)
        return Result(values, shown)

    async def _followed(
        self, path: str, send: Mapping[str, Any], report: Report
    ) -> tuple[Any, Mapping[str, str]]:
        """Send a request, report its progress, and return its answer; cancels it if cancelled."""
        id = new_id()
        working = asyncio.create_task(self._api.post(path, id, **send))
        told: tuple[float, str] | None = None
        try:
            while not (await asyncio.wait({working}, timeout=_POLL_S))[0]:
                job = await self._api.job(id)
                if job and (now := _progress(job)) and now[::2] != told:
                    told = now[0], now[2]
                    await report(*now)
            return working.result()
        except asyncio.CancelledError:
            stopping = asyncio.ensure_future(self._stop(id, working))
            await asyncio.shield(stopping)
            raise

    async def _stop(self, id: str, working: asyncio.Task[Any]) -> None:
        with suppress(ApiFailure):  # it has ended or never started
            await self._api.cancel(id)
        working.cancel()
        await asyncio.wait({working})

    async def _placed(self, data: bytes, url: str, name: str) -> dict[str, str]:
        """The path or address of the whole file."""
        if self._folders is None:
            return {"url": url}
        file = f"{name}.{picture_files.ending(data)}"
        return {"path": str(await asyncio.to_thread(self._folders.write, file, data))}

    async def _look(self, data: bytes, asked: str | None) -> dict[str, Any]:
        form = {"asked": asked} if asked else {}
        found, _ = await self._api.post(LOOK, data=form, files={"image": ("image", data)})
        return {name: found[name] for name in _SEEN if found[name] not in (None, [])}

    async def _look_if_allowed(self, data: bytes, asked: str | None) -> dict[str, Any]:
        """The look at a drawn picture, or why there is none: the picture is there all the same."""
        try:
            return await self._look(data, asked)
        except ApiFailure as failure:
            return {"not_looked_at": failure.message}

    async def _inline(
        self, data: bytes, inline: Inline, values: dict[str, Any]
    ) -> list[tuple[bytes, str]]:
        if inline == "none":
            return []
        if inline == "full" and len(data) <= MAX_FULL_BYTES:
            return [(data, picture_files.media_type(data))]
        if inline == "full":
            values["inline"] = f"small: the file has {len(data):,} bytes, more than hosts accept"
        return [(await asyncio.to_thread(picture_files.small, data), "image/webp")]

    async def _read(self, picture: str) -> bytes:
        """The file of a picture by its name. Raises WrongPicture."""
        if kept := await self._kept(picture):
            return await self._api.bytes(names.local(kept.url))
        if FILES in picture:
            return await self._api.bytes(names.local(picture))
        if picture.startswith("data:") or len(picture) > 4000:
            raise WrongPicture("A picture is named, not sent", hint="use its id, path or 'last'")
        if self._folders is None:
            raise WrongPicture(
                f"There is no picture {picture!r}",
                hint="use an id of list_pictures, an address that a tool gave, or 'last'",
            )
        return await asyncio.to_thread(self._folders.read, picture)

    async def _kept(self, picture: str) -> Kept | None:
        """The picture that an id or "last" names; None for other names. Raises WrongPicture."""
        match = names.ID.fullmatch(picture)
        if match:
            row = await self._api.get(f"{HISTORY}/{match[1]}")
        elif picture == "last":
            rows = (await self._api.get(HISTORY, limit=10))["data"]
            row = next((row for row in rows if row["pictures"]), {"pictures": []})
        else:
            return None
        for one in row["pictures"]:
            index = one["index"]
            if match is None or index == int(match[2] or 0):
                return Kept(row["id"], index, row["prompt"], one["url"])
        raise WrongPicture(f"There is no picture {picture!r}", hint="list_pictures has all")


def _progress(job: Mapping[str, Any]) -> tuple[float, float | None, str] | None:
    if job["position"]:
        return 0, None, f"waiting, position {job['position']}"
    progress = job["progress"]
    if not progress:
        return None
    done, total = progress["done"], progress["total"]
    return done, total, f"{progress['stage']} {done}/{total}"


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _text(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as text for a form."""
    return {name: str(value) for name, value in _given(values).items()}
