"""The back end `lanes`: solver functions compiled for a SIMD vector of samples at a time.

`build.py` makes an engine; what runs one that was made before (`block_engine.py` and below) imports no compiler.
"""
