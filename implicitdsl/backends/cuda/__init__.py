"""CUDA: the solvers and models of `lanes` as kernels for GPUs, one sample a thread. No back end of layers yet."""
