"""Edits that are not drawn as a whole picture: another ground or colour, a part, a scene."""
