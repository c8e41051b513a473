"""From a survey of the data to trained weights: the plan, the schedule, the optimiser and one visible loop."""
