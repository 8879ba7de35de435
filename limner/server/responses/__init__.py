"""The Responses API: pictures by the hosted tool image_generation."""
