"""How many pictures each key drew on each day, as far back as the history goes."""

from __future__ import annotations

from datetime import UTC, datetime

from limner.storage.db.database import Database, Row

_DAY_S = 86_400


def by_day(database: Database, now_s: float, n_days: int) -> list[Row]:
    """A row for each key and day (UTC) with pictures: `day` (YYYY-MM-DD), `key`, `pictures`.

    Of the last `n_days`, today included; oldest first.
    """
    today = int(now_s // _DAY_S)
    rows = []
    for day in range(today - n_days + 1, today + 1):
        found = database.read(
            "SELECT r.key_name AS key_name, count(*) AS n FROM requests r "
            "JOIN pictures p ON p.request_id = r.id "
            "WHERE r.created_s >= ? AND r.created_s < ? GROUP BY r.key_name ORDER BY r.key_name",
            [day * _DAY_S, (day + 1) * _DAY_S],
        )
        date = datetime.fromtimestamp(day * _DAY_S, UTC).strftime("%Y-%m-%d")
        rows += [{"day": date, "key": row["key_name"], "pictures": int(row["n"])} for row in found]
    return rows
