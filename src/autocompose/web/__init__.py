"""Protection of all our pages: hosts, origins, tokens, request rates and sizes."""
