"""The demo, end to end: render, train, evaluate and search, from scratch."""
