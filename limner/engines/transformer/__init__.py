"""The bundled model as an engine: one engine, a backend for ONNX Runtime or PyTorch."""
