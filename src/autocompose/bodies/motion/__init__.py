"""Motion files and clips, and conversion of their skeletons to ours."""
