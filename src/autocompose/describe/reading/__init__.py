"""Reading texts: free English -> claims about the body. The audit, the search and the MLLM's checks use it.

It knows nothing of poses, nor of the rule pipeline's word bank, so that it can check both.
"""

from autocompose.describe.reading.claims import Claim
from autocompose.describe.reading.parse import parse

__all__ = ["Claim", "parse"]
