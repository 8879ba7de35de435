"""The chat planner: a chat server that decides what is drawn for an answer, by function tools."""
