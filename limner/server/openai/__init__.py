"""OpenAI's request and answer shapes: fields, models, answers, errors."""
