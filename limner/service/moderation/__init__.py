"""Moderation of prompts and pictures."""
