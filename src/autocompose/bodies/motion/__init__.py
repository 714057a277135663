"""Motion files and clips, and the way from their skeletons to ours."""
