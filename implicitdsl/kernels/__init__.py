"""Derived functions laid out for solvers: loops over flat buffers."""
