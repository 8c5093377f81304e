"""The real CuPy on a machine without a GPU: a driver, a cuBLAS and a kernel compiler for host memory. README.md explains it."""
