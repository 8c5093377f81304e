"""What only a GPU needs: kernels in CUDA C++, and cuBLAS inside a CUDA graph."""
