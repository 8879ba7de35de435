"""/sdapi/v1: the parts of AUTOMATIC1111's web UI API that plug-ins use."""
