"""What a picture shows, as far as the bundled model can tell: for people, agents and retries."""
