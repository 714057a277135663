"""People in videos: followed from frame to frame, and kept where their pose has changed."""
