"""Drawing poses: joint limits, families of everyday poses, self-contact and balance."""
