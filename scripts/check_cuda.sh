#!/bin/sh
# Compiles the CUDA feature on a machine without a card or a CUDA toolkit: nvcc and the
# libraries' headers come from NVIDIA's packages on PyPI. It shows that the feature
# compiles for compute capability 9.0 and nothing else: no kernel runs. About a quarter of
# an hour on two cores the first time, most of it in candle's kernels.
#
#   scripts/check_cuda.sh [FOLDER]     FOLDER keeps the compiler and the build (1 GB)
set -eu
folder=${1:-target/cuda}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
[ -x "$folder/venv/bin/pip" ] || python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q 'nvidia-cuda-nvcc==13.0.88' 'nvidia-nvvm==13.0.88' \
    'nvidia-cuda-crt==13.0.88' 'nvidia-cuda-cccl==13.0.85' 'nvidia-cuda-runtime==13.0.96' \
    'nvidia-curand==10.4.5.25' 'nvidia-cublas==13.0.2.14' 'nvidia-cuda-nvrtc==13.0.88'
cuda=$(echo "$folder"/venv/lib/python3*/site-packages/nvidia/cu13)
export CUDA_HOME="$cuda" CUDA_PATH="$cuda" CUDA_ROOT="$cuda" NVCC="$cuda/bin/nvcc" PATH="$cuda/bin:$PATH"
export CUDA_COMPUTE_CAP=90 CARGO_TARGET_DIR="$folder/target"
cargo clippy --release --features cuda -- -D warnings
