"""Prompts as tokens and words: the text tokenizer, style words, phrases."""
