"""Our solvers and models as kernels of a GPU, compared with the lanes of the processor, bit by bit and in time.

`python -m benchmarks.cuda emit DIR` writes the kernels, what they are given and what lanes made of it; it needs no GPU.
`python -m benchmarks.cuda run DIR` runs them; it needs a GPU's driver, Python and NumPy, and nothing that compiles.
`python -m benchmarks.cuda page` writes the table of the run whose lines `results.jsonl` beside holds (`run --log`).
"""
