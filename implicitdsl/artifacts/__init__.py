"""Layers that were compiled before: found again without reading their text (the cache), or shipped as a package."""
