"""Training small-v2 on poses with the estimator's own errors, so that pairs need no pictures."""
