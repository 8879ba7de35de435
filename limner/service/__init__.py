"""What every front end shares: submission, queue, access, moderation, recovery, telemetry."""
