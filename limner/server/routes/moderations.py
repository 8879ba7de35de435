"""/v1/moderations: texts, judged in the same way as prompts."""

from __future__ import annotations

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from limner.server.bodies import read_body
from limner.server.http import scope
from limner.server.openai import answers, moderations


async def moderate(request: Request) -> Response:
    """Moderate texts in the same way as prompts."""
    texts, model = moderations.read(await read_body.read_json(request))
    moderator = scope.service(request).moderator
    verdicts = await run_in_threadpool(lambda: [moderator.check(text) for text in texts])
    body = moderations.answer(model, [v.scores for v in verdicts], [v.categories for v in verdicts])
    return Response(answers.dump(body), media_type="application/json")
