"""The application: routes, middleware, start and stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from difflib import get_close_matches
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match, Route

from limner import __version__
from limner.errors import LimnerError
from limner.server.access import cookies, credentials
from limner.server.access.guard import Guard
from limner.server.access.origins import LOCAL_PAGES
from limner.server.access.proxies import Proxies
from limner.server.bodies.body_memory import BodyBudget
from limner.server.chat_planner.chat_server import ChatServer
from limner.server.http import scope
from limner.server.http.middleware import RequestMiddleware
from limner.server.idempotency import once
from limner.server.input_pictures.decoders import DecoderPool
from limner.server.openai import answers, errors
from limner.server.openai.catalogue import catalogue_of
from limner.server.openapi import describe, docs_page
from limner.server.rebuilt_answers import REPLAYED
from limner.server.recorded_answers import Answers
from limner.server.routes import (
    admin,
    mcp,
    models,
    moderations,
    responses,
    sdapi,
    status,
    uploaded_files,
)
from limner.server.routes.images import (
    checks,
    drawing,
    files,
    history,
    history_pictures,
    jobs,
    look,
)
from limner.server.routes.page import assets, home, session
from limner.server.sdapi import shapes
from limner.service import memory
from limner.service.context import Service
from limner.service.moderation.word_list import Moderator, PictureModerator
from limner.service.pictures import links
from limner.service.recovery import resume_requests
from limner.settings import Settings
from limner.storage.history import maintenance

log = logging.getLogger("limner.server")

_NEAR = 0.8  # least likeness, 0 to 1, of an address that may have been meant
_EXPOSED = ["x-request-id", "x-limner-seed", "x-limner-notice", "retry-after", REPLAYED]
_EXPOSED += ["accept-ranges", "content-range", "etag"]
_EXPOSED += [
    f"x-ratelimit-{word}-{kind}"
    for word in ("limit", "remaining", "reset")
    for kind in ("requests", "images")
]


def create_app(
    settings: Settings,
    moderator: Moderator | None = None,
    picture_moderator: PictureModerator | None = None,
) -> FastAPI:
    """Build the application for `settings`. Raises LimnerError if the engine cannot be loaded."""
    serving = Service(settings, moderator, picture_moderator)
    app = FastAPI(
        title="limner",
        version=__version__,
        summary="The OpenAI Images API, drawn on this machine",
        lifespan=_lifespan,
        redirect_slashes=False,
        # The middleware traces: it knows the normalised path and the request id.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        docs_url=None,  # FastAPI's own pages load their scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = serving
    app.state.catalogue = catalogue_of(serving)
    app.state.answers = Answers(settings.link_minutes * 60)
    app.state.chat_planner = ChatServer.of(settings)
    app.state.body_budget = BodyBudget(4 * serving.max_upload_bytes)
    # Pictures are large while they are decoded: two at a time keep memory bounded.
    app.state.decoders = DecoderPool(2, settings.home)
    routers = _keyed(), _sdapi(), _open()
    for router in routers:
        app.include_router(router)
    app.state.mcp = mcp.McpEndpoint(app, settings)
    app.router.routes.append(Route(mcp.PATH, app.state.mcp))
    _handle_errors(app, [route for router in routers for route in router.routes])
    app.add_middleware(
        RequestMiddleware,
        max_body_bytes=serving.max_upload_bytes,
        traces=serving.traces,
        guard=Guard(settings, serving.keys, serving.metrics),
        proxies=Proxies(settings.proxies),
        settings=settings,
    )
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.origins_allowed,
        allow_origin_regex=LOCAL_PAGES,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=_EXPOSED,
    )
    return app


def _keyed() -> APIRouter:
    """Routes that require a key, if keys are set."""
    router = APIRouter(prefix="/v1", dependencies=[Depends(_check_key)])
    add = router.add_api_route
    posted: dict[str, Any] = {"methods": ["POST"], "dependencies": [Depends(_may_draw)]}
    add("/images/generations", once(drawing.generations), **posted, **describe.GENERATIONS)
    add("/images/edits", once(drawing.edits), **posted, **describe.EDITS)
    add("/images/variations", once(drawing.variations), **posted, **describe.VARIATIONS)
    add("/images/look", look.look, **posted, **describe.LOOK)
    add("/responses", once(responses.create), **posted, **describe.RESPONSES)
    add("/chat/completions", responses.complete_chat, **posted, **describe.CHAT)
    add("/responses/{id}", responses.show, methods=["GET"], **describe.RESPONSE)
    add("/responses/{id}", responses.delete, methods=["DELETE"], **describe.RESPONSE_DELETE)
    add("/files", uploaded_files.create, **posted, **describe.FILES_CREATE)
    add("/files", uploaded_files.page, methods=["GET"], **describe.FILES)
    add("/files/{id}", uploaded_files.show, methods=["GET"], **describe.FILE)
    add("/files/{id}", uploaded_files.delete, methods=["DELETE"], **describe.FILE_DELETE)
    add("/files/{id}/content", uploaded_files.content, methods=["GET"], **describe.FILE_CONTENT)
    add("/images/check", checks.check, methods=["POST"], **describe.CHECK)
    add("/images/jobs/{id}", jobs.show, methods=["GET"], **describe.JOB)
    add("/images/jobs/{id}", jobs.cancel, methods=["DELETE"], **describe.JOB_CANCEL)
    add("/images/history", history.page, methods=["GET"], **describe.HISTORY)
    add("/images/history/{id}", history.show, methods=["GET"], **describe.HISTORY_ONE)
    add("/images/history/{id}", history.delete, methods=["DELETE"], **describe.HISTORY_DELETE)
    picture = "/images/history/{id}/pictures/{index}"
    add(picture, history_pictures.file, methods=["GET"], **describe.KEPT_PICTURE)
    add(picture, history_pictures.delete, methods=["DELETE"], **describe.KEPT_PICTURE_DELETE)
    add(picture + "/star", history_pictures.star, methods=["POST"], **describe.STAR)
    add(picture + "/star", history_pictures.unstar, methods=["DELETE"], **describe.UNSTAR)
    add("/models", models.list_models, methods=["GET"], **describe.MODELS)
    add("/models/{model:path}", models.get_model, methods=["GET"], **describe.MODEL)
    stopping: dict[str, Any] = {"methods": ["POST"], "dependencies": [Depends(_is_admin)]}
    add("/models/{model}/stop", models.stop_model, **stopping, **describe.MODEL_STOP)
    admins: dict[str, Any] = {"methods": ["GET"], "dependencies": [Depends(_is_admin)]}
    add("/admin/jobs", admin.jobs, **admins, **describe.ADMIN_JOBS)
    add("/admin/keys", admin.keys, **admins, **describe.ADMIN_KEYS)
    add("/admin/usage", admin.usage, **admins, **describe.ADMIN_USAGE)
    add("/admin/training", admin.training, **admins, **describe.ADMIN_TRAINING)
    sheet = "/admin/training/{run}/{stage}/sheet"
    add(sheet, admin.sheet, **admins, **describe.ADMIN_SHEET)
    add("/moderations", moderations.moderate, methods=["POST"], **describe.MODERATIONS)
    return router


def _sdapi() -> APIRouter:
    """The API of AUTOMATIC1111's web UI, with the same keys."""
    router = APIRouter(prefix=sdapi.PREFIX, dependencies=[Depends(sdapi.check_key)])
    add = router.add_api_route
    hidden: dict[str, Any] = {"include_in_schema": False}
    posted: dict[str, Any] = {"methods": ["POST"], "dependencies": [Depends(_may_draw)], **hidden}
    add("/txt2img", sdapi.txt2img, **posted)
    add("/img2img", sdapi.img2img, **posted)
    add("/interrupt", sdapi.interrupt, **posted)
    add("/options", sdapi.set_options, **posted)
    add("/progress", sdapi.progress, methods=["GET"], **hidden)
    for name in sdapi.LISTS:
        add(f"/{name}", sdapi.show, methods=["GET"], **hidden)
    return router


def _open() -> APIRouter:
    """Routes that need no key, and those outside the API."""
    router = APIRouter()
    add = router.add_api_route
    picture = links.ROUTE + "{name}"
    add(picture, files.picture, methods=["GET"], **describe.PICTURE)
    add(picture, files.picture, methods=["HEAD"], include_in_schema=False)
    add("/", home.home, methods=["GET", "HEAD"], include_in_schema=False)
    add(
        assets.ROUTE + "{version}/{path:path}",
        assets.file,
        methods=["GET"],
        include_in_schema=False,
    )
    add("/favicon.ico", assets.icon, methods=["GET"], include_in_schema=False)
    add("/session", session.begin, methods=["POST"], **describe.SESSION_BEGIN)
    add("/session", session.end, methods=["DELETE"], **describe.SESSION_END)
    known = [Depends(_check_key)]
    add("/session", session.show, methods=["GET"], dependencies=known, **describe.SESSION)
    add("/docs", docs_page.docs, methods=["GET"], include_in_schema=False)
    checked = [Depends(_check_key), Depends(_is_admin)]
    add("/metrics", status.metrics, methods=["GET"], dependencies=checked, **describe.METRICS)
    add("/health", status.health, methods=["GET"], **describe.HEALTH)
    add("/ready", status.ready, methods=["GET"], **describe.READY)
    return router


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    serving: Service = app.state.service
    assets.files()  # so that the first visitor does not wait for it
    serving.open()
    serving.models.start()
    try:
        await resume_requests.draw_on(serving)
    except LimnerError as error:  # `_run_maintenance` tries again
        log.error("interrupted requests could not be resumed: %s", error.message)
    tending = [
        asyncio.ensure_future(work) for work in (_run_maintenance(serving), _give_memory_back())
    ]
    async with app.state.mcp.running():
        yield
    for task in tending:
        task.cancel()
    for worker in serving.models.all_workers():
        await run_in_threadpool(worker.close)  # the loop goes on: a second Ctrl-C must be seen
    app.state.decoders.close()
    serving.close()
    serving.traces.close()


async def _run_maintenance(serving: Service) -> None:
    """Maintain stored data and resume requests of servers that died, until cancelled."""
    while True:
        await asyncio.sleep(maintenance.EVERY_S)
        try:
            await run_in_threadpool(serving.run_maintenance)
            await resume_requests.draw_on(serving)
        except LimnerError as error:
            log.error("maintenance of stored data failed: %s", error.message)
        except Exception:  # a bug must not end this loop
            log.exception("maintenance of stored data failed")


async def _give_memory_back() -> None:
    """Return free memory to the system regularly, until cancelled."""
    while True:
        await asyncio.sleep(memory.EVERY_S)
        await run_in_threadpool(memory.give_back)


async def _may_draw(request: Request) -> None:
    scope.holder(request).check("draw")


async def _is_admin(request: Request) -> None:
    scope.holder(request).check("admin")


async def _check_key(request: Request) -> None:
    serving = scope.service(request)
    threads = serving.database_threads
    authorization = credentials.authorization(request.headers)
    token = None if authorization else cookies.token(request)
    if token:
        key_hash = await threads.run(serving.sessions.key_hash, token)
        holder = await serving.keys.holder_of_hash(key_hash, threads)
    else:
        holder = await serving.keys.holder(authorization, threads)
    request.state.holder = holder
    request.state.headers = serving.limiter.headers(holder)


def _handle_errors(app: FastAPI, routes: list[BaseRoute]) -> None:
    """Answer every error raised below the middleware with the API's error object."""

    @app.exception_handler(LimnerError)
    async def limner_error(request: Request, error: LimnerError) -> Response:
        id, is_gpt = scope.request_id(request), getattr(request.state, "is_gpt", False)
        said = errors.from_limner(error, id, is_gpt=is_gpt)
        if said.status >= 500 and said is not error:
            log.error("request %s failed: %s", id, error.message)
        holder = getattr(request.state, "holder", None)
        code = said.code or str(said.status)
        serving: Service = request.app.state.service
        serving.metrics.refused(code, holder.name if holder else "")
        if request.url.path.startswith(sdapi.PREFIX):
            return _respond(said, shapes.failure(said.message, said.code))
        return _respond(said)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        method, path = request.method, request.url.path
        if error.status_code == 405:
            return _respond(errors.wrong_method(method, path, _methods(routes, request)))
        if error.status_code == 404:
            paths = [r.path for r in routes if isinstance(r, Route) and "{" not in r.path]
            nearest = get_close_matches(path[:200], paths, 1, _NEAR)
            return _respond(errors.not_found(method, path, nearest))
        return _respond(errors.ApiError(str(error.detail), status=error.status_code))

    @app.exception_handler(ClientDisconnect)
    async def client_left(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=drawing.CLIENT_LEFT)


def _respond(error: errors.ApiError, body: dict[str, Any] | None = None) -> Response:
    return Response(
        answers.dump(body or error.body),
        error.status,
        headers=error.headers,
        media_type="application/json",
    )


def _methods(routes: list[BaseRoute], request: Request) -> str:
    """All methods of a path; Starlette's Allow header names only those of its first route."""
    methods: set[str] = set()
    for route in routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE:
            methods |= route.methods or set()
    return ", ".join(sorted(methods))
