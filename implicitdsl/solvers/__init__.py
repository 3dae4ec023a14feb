"""Algorithms over the element vocabulary: plain functions on flat arrays."""
