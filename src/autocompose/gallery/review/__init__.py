"""The review page: people accept, edit or reject the texts of the annotation engine."""
