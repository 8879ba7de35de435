"""/v1/admin/…: the state of the server, for keys with the scope admin."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from limner.server.http import scope
from limner.server.openai import answers, errors
from limner.storage import training_runs
from limner.storage.history import usage as pictures_by_day

MAX_DAYS, _DAYS = 90, 30


async def jobs(request: Request) -> Response:
    """The running and queued requests of this server, oldest first."""
    serving = scope.service(request)
    data = [
        {
            "id": status.id,
            "key": status.key_name,
            "created_at": int(status.created_s),
            "status": status.state,
            "n": status.n,
            "position": status.position,
            "progress": status.progress
            and {"done": status.progress.done, "total": status.progress.total},
        }
        for status in serving.jobs.under_way
    ]
    return _list(data)


async def keys(request: Request) -> Response:
    """The keys made by `limner keys`, without their secrets."""
    serving = scope.service(request)
    data = [
        {
            "name": key.name,
            "scopes": list(key.scopes),
            "limits": asdict(key.limits),
            "created_at": int(key.created_s),
            "revoked_at": None if key.revoked_s is None else int(key.revoked_s),
        }
        for key in await serving.database_threads.run(serving.keys.stored)
    ]
    return _list(data)


async def usage(request: Request) -> Response:
    """Number of pictures in the history by key and day (UTC), for the last `days` days."""
    serving = scope.service(request)
    text = request.query_params.get("days") or str(_DAYS)
    is_number = text.isascii() and text.isdigit() and len(text) <= 3
    if not (is_number and 1 <= int(text) <= MAX_DAYS):
        raise errors.wrong_query("days", f"a whole number from 1 to {MAX_DAYS}")
    rows = await serving.database_threads.run(
        pictures_by_day.by_day, serving.database, time.time(), int(text)
    )
    return _list(rows)


async def training(request: Request) -> Response:
    """The training runs in LIMNER_HOME, one row for each stage, latest change first."""
    home = scope.service(request).settings.home
    now_s = time.time()
    data = [
        {
            "run": stage.run,
            "stage": stage.name,
            "step": stage.step,
            "steps": stage.n_steps,
            "steps_per_s": stage.rate,
            "seconds_left": stage.left_s(now_s),
            "changed_at": int(stage.changed_s),
            "loss": [{"step": step, "loss": loss} for step, loss in stage.losses],
            "sheet": stage.sheet,
        }
        for stage in await run_in_threadpool(training_runs.stages, home)
    ]
    return _list(data)


async def sheet(request: Request, run: str, stage: str) -> Response:
    """The newest page of samples of a stage, as PNG."""
    home = scope.service(request).settings.home
    path = await run_in_threadpool(training_runs.sheet, home, run, stage)
    if path is None:
        raise errors.not_found(request.method, request.url.path)
    data = await run_in_threadpool(path.read_bytes)
    return Response(data, headers={"cache-control": "no-cache"}, media_type="image/png")


def _list(data: list[dict[str, Any]]) -> Response:
    body = {"object": "list", "data": data}
    headers = {"cache-control": "no-store"}
    return Response(answers.dump(body), headers=headers, media_type="application/json")
