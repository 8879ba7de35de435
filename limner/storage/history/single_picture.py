"""One picture of a request: its star, and its deletion without the others."""

from __future__ import annotations

from limner.storage.history.history import History


def star(history: History, id: str, number: int, *, is_starred: bool) -> bool:
    """Set or take the star of picture `number`; false if there is no such picture."""
    return bool(
        history.database.execute(
            "UPDATE pictures SET starred = ? WHERE request_id = ? AND number = ? RETURNING number",
            [int(is_starred), id, number],
        )
    )


def delete(history: History, id: str, number: int) -> bool:
    """Delete picture `number` and its file, and with the last picture its request.

    False if there is no such picture, or its request is being drawn. The order of writes is that
    of `History.delete`.
    """
    history.store.reach()
    is_deleted = history.reserve.with_room(lambda: _delete_rows(history, id, number))
    history.finish_deletions()
    history.database.forget_deleted()
    return is_deleted


def _delete_rows(history: History, id: str, number: int) -> bool:
    with history.database.transaction() as run:
        requests = run(
            "UPDATE requests SET place = place WHERE id = ? AND state <> 'running' RETURNING place",
            [id],
        )
        gone = requests and run(
            "DELETE FROM pictures WHERE request_id = ? AND number = ? RETURNING file", [id, number]
        )
        if not gone:
            return False
        run("INSERT INTO deletions VALUES (?, ?)", [gone[0]["file"], requests[0]["place"]])
        if not run("SELECT number FROM pictures WHERE request_id = ? LIMIT 1", [id]):
            run("DELETE FROM requests WHERE id = ?", [id])
    return True
