"""Gallery index, search, server."""
