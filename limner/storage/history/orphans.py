"""Rows for pictures that have none: in the request that stored them, or as one of their own.

A server that is killed between a picture's file and its row leaves such a file. The request that
stored it is found by the name of the file. If the request was drawn on meanwhile, the picture is
there a second time, and the file without a row is deleted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence

from limner.errors import DataError
from limner.storage.db.database import Row
from limner.storage.history.history import INSERT_PICTURE, History, Made

_Run = Callable[[str, Sequence[object]], list[Row]]


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
    is_of: Callable[[str], bool] = lambda id: False,
) -> str:
    """Make the row of `file`, which has none; returns the id of the request that it is in now.

    `is_of` tells whether a request, by its id, stored the file. If none did, it becomes a request
    of its own, drawn at the Unix time `drawn_s`; that belongs to no key, so with keys only one
    with the scope admin sees it. Raises DataError if the file is known, or not to be kept.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    with history.database.transaction() as run:
        for table in ("pictures", "deletions"):
            if run(f"SELECT file FROM {table} WHERE file = ?", [file]):
                raise DataError("it is in the history, or about to be deleted")
        request = _request_of(run, history, model, is_of)
        if request and request["state"] == "running":
            raise DataError("its request is being drawn")
        twin = _twin(run, request, made)
        if twin and twin["sha256"] == sha256:
            run("INSERT INTO deletions VALUES (?, ?)", [file, history.store_id])
        else:
            owned = request if not twin else None
            id = (
                owned["id"]
                if owned
                else _new_request(run, history, made, file, prompt, model, drawn_s, options)
            )
            _add_picture(run, id, made, file, sha256, len(data))
            if owned:
                _end_if_whole(run, owned)
            return str(id)
    raise DataError("it was drawn again, and is the same picture; it is deleted")


def _request_of(
    run: _Run, history: History, model: str, is_of: Callable[[str], bool]
) -> Row | None:
    """The request that stored a file, its row held until the end of the transaction."""
    rows = run("SELECT id FROM requests WHERE place = ? AND model = ?", [history.store_id, model])
    id = next((row["id"] for row in rows if is_of(row["id"])), None)
    if id is None:
        return None
    held = run("UPDATE requests SET server = server WHERE id = ? RETURNING *", [id])
    return held[0] if held else None


def _twin(run: _Run, request: Row | None, made: Made) -> Row | None:
    """The picture of that number that the request has already."""
    if request is None:
        return None
    rows = run(
        "SELECT sha256 FROM pictures WHERE request_id = ? AND number = ?",
        [request["id"], made.number],
    )
    return rows[0] if rows else None


def _new_request(
    run: _Run,
    history: History,
    made: Made,
    file: str,
    prompt: str,
    model: str,
    drawn_s: float,
    options: Mapping[str, object] | None,
) -> str:
    id = f"req_{file.removeprefix('img-').partition('.')[0]}"
    parameters = {
        "n": 1,
        "size": f"{made.width}x{made.height}",
        "seed": made.seed,
        "output_format": made.format,
        "recovered": True,
        **({"options": dict(options)} if options else {}),
    }
    if not run(
        "INSERT INTO requests (id, place, server, key_name, created_s, kind, model, prompt, "
        "parameters, state) VALUES (?, ?, ?, '', ?, 'generation', ?, ?, ?, 'done') "
        "ON CONFLICT (id) DO NOTHING RETURNING id",
        [id, history.store_id, history.server, drawn_s, model, prompt, json.dumps(parameters)],
    ):
        raise DataError("it is in the history, or about to be deleted")
    return id


def _add_picture(run: _Run, id: str, made: Made, file: str, sha256: str, n_bytes: int) -> None:
    parents = run("SELECT parent FROM pictures WHERE request_id = ? LIMIT 1", [id])
    run(
        INSERT_PICTURE,
        [
            id,
            made.number,
            file,
            sha256,
            n_bytes,
            made.seed,
            made.score,
            made.width,
            made.height,
            made.format,
            parents[0]["parent"] if parents else None,
            None,
        ],
    )


def _end_if_whole(run: _Run, request: Row) -> None:
    """An interrupted request that has all its pictures now is done."""
    [row] = run("SELECT count(*) AS n FROM pictures WHERE request_id = ?", [request["id"]])
    if row["n"] == json.loads(request["parameters"])["n"]:
        run(
            "UPDATE requests SET state = 'done' WHERE id = ? AND state = 'interrupted'",
            [request["id"]],
        )
