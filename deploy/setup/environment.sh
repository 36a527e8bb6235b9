# What Spark, Horovod and Open MPI should know before they start. Every recipe of the Makefile reads
# it, and so does `source .venv/bin/activate`. What you have set yourself stays.
# shellcheck shell=sh

# Ranks import TensorFlow for ten seconds each; more ranks than cores need longer than Horovod's 30.
export HOROVOD_START_TIMEOUT="${HOROVOD_START_TIMEOUT:-300}"
export HOROVOD_GLOO_TIMEOUT_SECONDS="${HOROVOD_GLOO_TIMEOUT_SECONDS:-300}"
# Ranks that wait for a message give way to ranks that compute, where they share the cores.
export OMPI_MCA_mpi_yield_when_idle="${OMPI_MCA_mpi_yield_when_idle:-1}"
# Open MPI refuses root unless told twice, and root is the usual user inside a container.
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT="${OMPI_ALLOW_RUN_AS_ROOT:-1}"
    export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="${OMPI_ALLOW_RUN_AS_ROOT_CONFIRM:-1}"
fi
