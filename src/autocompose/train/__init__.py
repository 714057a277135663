"""Training: the data of a run, sampling, stages, the loop, baselines."""
