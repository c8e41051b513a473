"""What was tested is what is served: everything after training starts from one Predictor."""
