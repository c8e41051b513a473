"""One .onnx file of a run: from decoded pixels to logits and probabilities, with its certificate."""
