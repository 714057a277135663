"""Talking to an endpoint: client, flow of requests, prices."""
