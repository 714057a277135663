"""How the lifting network of ``estimate`` is made: rendered scenes, landmarks kept on disk, training, figures."""
