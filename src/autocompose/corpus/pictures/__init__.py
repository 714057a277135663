"""Opening pictures: one gate for all, their colours, sizes and transforms."""
