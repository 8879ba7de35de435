"""What happens to pictures: moderation, encoding, storage, addresses."""
