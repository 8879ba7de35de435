"""Stores for picture files: a folder or an S3 bucket."""
