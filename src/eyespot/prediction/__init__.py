"""The answer that was tested is the answer that is served: everything after training asks one Predictor."""
