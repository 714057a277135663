"""Items of videos: moments, the scenes they belong to, and clips around them."""
