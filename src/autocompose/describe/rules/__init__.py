"""Transition descriptions by rules, from 3D poses: measure, bin, select, merge, order, speak (after PoseFix, 2023)."""

from autocompose.describe.rules.changes import Figures
from autocompose.describe.rules.options import RuleOptions
from autocompose.describe.rules.texts import describe, describe_pairs

__all__ = ["Figures", "RuleOptions", "describe", "describe_pairs"]
