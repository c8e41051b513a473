"""A page and an HTTP API around one Predictor: what was tested is what is served."""
