"""Training the lifting network of ``estimate``: rendered scenes, stored landmarks, training, figures."""
