"""Back ends: problems become engines, which solve batches of NumPy arrays."""
