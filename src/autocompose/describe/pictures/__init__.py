"""What changed between two pictures of people, in words, from estimated poses."""
