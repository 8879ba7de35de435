"""stable-diffusion.cpp as an engine: GGUF and single files, always in a process of its own."""
