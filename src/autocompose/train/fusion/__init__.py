"""Weights of the two engines, fitted on a corpus with estimated poses (runs/fusion.sh)."""
