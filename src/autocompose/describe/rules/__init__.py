"""The rule-based comparative pipeline: two 3D poses in, English texts out."""
