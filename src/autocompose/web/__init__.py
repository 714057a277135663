"""What every page of ours stands behind: hosts, origins, tokens, rates and sizes of requests."""
