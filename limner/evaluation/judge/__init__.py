"""The judge: networks that name what a picture shows."""
