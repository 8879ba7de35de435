"""Models as cards: found by looking, loaded on first use, kept in memory while there is room."""
