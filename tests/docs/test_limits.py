"""The numbers and codes of docs/api.md are those of the code."""

import re
from pathlib import Path

import pytest

from limner import request
from limner.engines.transformer import conditioning
from limner.imaging import decode_upload
from limner.server import idempotency, recorded_answers
from limner.server.bodies import body_memory, forms, json_body
from limner.server.http import delivery, middleware
from limner.server.input_pictures import data_urls, decode_process
from limner.server.openai import calls, images, model_rules, moderations
from limner.server.routes.images import history
from limner.server.transport import configuration, protocol
from limner.service.queue import jobs
from limner.settings import Settings
from limner.storage.db import database

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "api.md").read_text("utf-8")
SAID = [
    f"| 1 to {request.MAX_PICTURES}; `dall-e-3`: 1 |",
    f"| 0 to {request.MAX_PREVIEWS} | 0 | previews",
    f"| 1 to {request.MAX_BEST_OF} | by quality |",
    f"| {conditioning._KEPT_OF_EDIT:.0%} of".replace("%", " %"),
    f"| {conditioning._KEPT_OF_VARIATION:.0%} of".replace("%", " %"),
    f"{decode_upload.MAX_PIXELS / 1e6:.1f} million pixels, {decode_upload.MAX_SIDE_PX:,} pixels",
    f"{decode_upload.MAX_JPEG_PIXELS / 1e6:.0f} million pixels, {decode_upload.MAX_JPEG_SIDE_PX:,}",
    f"| {images.MAX_TOTAL_PIXELS / 1e6:.1f} million pixels |",
    f"| below {images.MAX_IMAGE_BYTES / 1e6:.0f} MB |",
    f"Up to {images.MAX_IMAGES} may be sent",
    f"| scans of a JPEG | {decode_upload.MAX_JPEG_SCANS} |",
    f"| {decode_process.MAX_CPU_S} s of processor time, "
    f"{decode_process.MAX_MEMORY_BYTES / 1e6:.0f} MB |",
    f"| {moderations.MAX_INPUTS} texts, {moderations.MAX_CHARS:,} characters together |",
    f"| {json_body.MAX_VALUES:,} values, {json_body.MAX_DEPTH} levels, "
    f"{json_body.MAX_QUOTES:,} escaped quotes |",
    f"| {forms.MAX_FILES} files, {forms.MAX_FIELDS} fields, "
    f"{forms.MAX_TEXT_BYTES / 1e6:.0f} MB of text |",
    f"| {data_urls.MAX_CHARS:,} characters |",
    f"the first {body_memory.FREE_BYTES:,} bytes of each",
    f"| {protocol.MAX_HEAD_BYTES:,} bytes | 431",
    f"| {protocol.MAX_HEADERS} | 431",
    f"| {protocol.MAX_URL_BYTES:,} bytes | 414",
    f"| {protocol.MAX_SENT_AHEAD} | 400",
    f"| {protocol.HEAD_S:g} s | 408",
    f"over {middleware.SLOW_S:g} s of waiting | {protocol.MIN_BODY_BYTES_PER_S:,} bytes a second",
    f"| {configuration.IDLE_S:g} s | closed |",
    f"| {delivery.STALL_S:g} s | closed |",
    f"last {jobs.MAX_REMEMBERED:,} requests",
    f"While {jobs.MAX_UNSENT} finished pictures are unread",
    f"up to {jobs.MAX_CLIENT_ID_CHARS} printable characters",
    f"up to {idempotency.MAX_KEY_CHARS} characters",
    f"Bodies may have {idempotency.MAX_REQUEST_BYTES / 1e6:.0f} MB",
    f"one of more than {recorded_answers.MAX_ONE_BYTES / 1e6:.0f} MB",
    f"{recorded_answers.MAX_ANSWERS} answers or {recorded_answers.MAX_BYTES / 1e6:.0f} MB",
    f"at most {history.MAX_PAGE}; `after=ID`",
    f"did not answer within {database.BUSY_S:g} s",
    f"`LIMNER_QUEUE` ({Settings().queue})",
    f"Up to {Settings().batch} waiting pictures (`LIMNER_BATCH`)",
    f"`LIMNER_MAX_UPLOAD_MB` ({Settings().max_upload_mb} MB)",
    f"{Settings().link_minutes} minutes (`LIMNER_LINK_MINUTES`)",
    f"{Settings().history_days} days (`LIMNER_HISTORY_DAYS`)",
    f"{Settings().history_mb:,} MB (`LIMNER_HISTORY_MB`)",
    *(f"| {n:,} |" for n in model_rules.MAX_PROMPT_CHARS.values()),
]


@pytest.mark.parametrize("text", SAID)
def test_limits_are_those_of_the_code(text: str) -> None:
    assert text in API


def test_every_parameter_has_a_row() -> None:
    names = calls._GENERATION_NAMES | calls._EDIT_NAMES | calls.EXTRAS
    named = set(re.findall(r"`(\w+)`", API))
    assert names - named == set()


def test_every_code_of_an_error_has_a_row() -> None:
    files = [*(ROOT / "limner" / "server").rglob("*.py"), *(ROOT / "limner/service").rglob("*.py")]
    files += [ROOT / "limner" / "errors.py", ROOT / "limner" / "request.py"]
    code = re.compile(r"\bcode(?::[^=]+)? ?= ?\"([a-z_]+)\"")
    codes = {name for file in files for name in code.findall(file.read_text("utf-8"))}
    rows = "\n".join(line for line in API.splitlines() if re.match(r"\| \d{3}", line))
    assert len(codes) > 40
    assert codes - set(re.findall(r"`([a-z_]+)`", rows)) == set()
