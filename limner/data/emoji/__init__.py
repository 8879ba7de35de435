"""The open emoji art: drawings, their words, and the splits for evaluation."""
