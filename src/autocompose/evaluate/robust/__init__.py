"""Measures beside recall: spread over wordings, several correct targets, hard negatives."""
