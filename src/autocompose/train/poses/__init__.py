"""How small-v2 learns to compose: on poses, with the estimator's own errors, so that millions of pairs need no picture."""
