"""GPU-only code: kernels in CUDA C++ with the table of what they replace, and cuBLAS inside a CUDA graph."""

from . import fused

__all__ = ["fused"]
