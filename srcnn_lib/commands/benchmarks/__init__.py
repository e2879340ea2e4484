"""What `srcnn benchmark` measures: one module for each benchmark, and `timing`, which they share."""
