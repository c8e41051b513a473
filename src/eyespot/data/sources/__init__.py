"""Which files belong to a data set, and which label or mask each has."""
