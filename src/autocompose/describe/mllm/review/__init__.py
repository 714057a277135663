"""The review page: people accept, edit or reject texts."""
