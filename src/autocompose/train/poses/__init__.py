"""How small-v2 learns to compose: on poses with the estimator's own errors, so that pairs need no picture."""
