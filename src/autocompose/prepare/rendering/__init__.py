"""Pictures of given poses."""
