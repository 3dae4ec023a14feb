"""The back end `lanes`: a block of samples at a time, one sample a lane of an LLVM vector."""
