"""Pictures, models and the worker process that runs them. Knows nothing of the network."""
