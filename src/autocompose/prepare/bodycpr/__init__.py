"""The embedded benchmark BodyCPR."""
