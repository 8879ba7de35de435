"""What the Responses API answered: a row an answer, deleted with the request that drew for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from limner.storage.db.database import Database


class Responses:
    """The answers in a database, for all servers that share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, id: str, request_id: str, body: Mapping[str, Any]) -> None:
        """Keep answer `id`, which request `request_id` of the history draws for."""
        self._database.execute(
            "INSERT INTO responses VALUES (?, ?, ?)", [id, request_id, json.dumps(body)]
        )

    def replace(self, id: str, body: Mapping[str, Any]) -> None:
        """Keep another body of answer `id`."""
        self._database.execute("UPDATE responses SET body = ? WHERE id = ?", [json.dumps(body), id])

    def find(self, id: str) -> dict[str, Any] | None:
        """The body of answer `id`."""
        rows = self._database.read("SELECT body FROM responses WHERE id = ?", [id])
        body: dict[str, Any] | None = json.loads(rows[0]["body"]) if rows else None
        return body
