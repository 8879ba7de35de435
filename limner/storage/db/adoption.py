"""Adopt picture files that have no row: each becomes a request whose owner is unknown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from limner.storage.db.history import INSERT_PICTURE, History, Made


def adopt(
    history: History,
    made: Made,
    file: str,
    data: bytes,
    *,
    prompt: str,
    model: str,
    drawn_s: float,
    options: Mapping[str, object] | None = None,
) -> str | None:
    """Write the request row and picture row of `file`; returns the id of the request.

    None: it has its row, or is about to be deleted. `drawn_s` is a Unix time. The request belongs
    to no key, so with keys only one with the scope admin sees it.
    """
    id = f"req_{file.removeprefix('img-').partition('.')[0]}"
    parameters = {
        "n": 1,
        "size": f"{made.width}x{made.height}",
        "seed": made.seed,
        "output_format": made.format,
        "recovered": True,
        **({"options": dict(options)} if options else {}),
    }
    with history.database.transaction() as run:
        for table in ("pictures", "deletions"):
            if run(f"SELECT file FROM {table} WHERE file = ?", [file]):
                return None
        if not run(
            "INSERT INTO requests (id, place, server, key_name, created_s, kind, model, prompt, "
            "parameters, state) VALUES (?, ?, ?, '', ?, 'generation', ?, ?, ?, 'done') "
            "ON CONFLICT (id) DO NOTHING RETURNING id",
            [id, history.place, history.server, drawn_s, model, prompt, json.dumps(parameters)],
        ):
            return None
        run(
            INSERT_PICTURE,
            [
                id,
                made.number,
                file,
                hashlib.sha256(data).hexdigest(),
                len(data),
                made.seed,
                made.score,
                made.width,
                made.height,
                made.format,
                None,
                None,
            ],
        )
    return id
