"""Evaluation: questions, ranking, metrics, symbolic search, results and reports."""
