"""Captioned pictures: the open art, its words in two languages, scenes of it, and other sources."""
