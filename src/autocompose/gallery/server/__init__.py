"""The REST interface and the web page of a gallery."""
