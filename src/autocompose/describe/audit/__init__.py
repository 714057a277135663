"""Does a text match the change of pose? Claims (``describe.reading``) are judged against 3D joints.

The audit knows nothing of the rule pipeline: neither its word bank nor its code tables. So it can check both.
"""

from autocompose.describe.audit.judge import Judgement, Verdict, judge, judge_pair
from autocompose.describe.audit.measure import Poses

__all__ = ["Judgement", "Poses", "Verdict", "judge", "judge_pair"]
