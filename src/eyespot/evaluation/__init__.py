"""A predictor tried on labelled images: metrics with intervals, and the predictions behind them."""
