"""Recognising what a picture shows, with the bundled model."""
