"""All that is known of OpenAI's shapes: fields, models, answers, errors."""
