"""What an exported file says of itself, and how it is checked: read without torch and without onnx."""
