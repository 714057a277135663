"""People and their poses in pictures: detector, landmarks, lifting to SMPL-22."""

from autocompose.estimate.estimator import Estimator, Person

__all__ = ["Estimator", "Person"]
