"""The API of AUTOMATIC1111's web UI, as far as plug-ins use it: /sdapi/v1."""
