"""What runs the networks: ONNX Runtime or PyTorch; `load` chooses one."""
