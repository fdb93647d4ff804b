"""One file for each step. What was released is never changed."""
