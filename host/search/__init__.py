"""Search for the hyper-parameters with which a run learns best."""
