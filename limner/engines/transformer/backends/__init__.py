"""What runs the networks: ONNX Runtime or PyTorch; `choose.load` takes one of them."""
