# Variables that Spark, Horovod and Open MPI need before they start. Every recipe of the Makefile reads
# this file, and so does `source .venv/bin/activate`. Variables that you have set yourself stay.
# shellcheck shell=sh

# Importing TensorFlow takes ten seconds per rank. With more ranks than cores, Horovod's limit of 30
# seconds is too short.
export HOROVOD_START_TIMEOUT="${HOROVOD_START_TIMEOUT:-300}"
export HOROVOD_GLOO_TIMEOUT_SECONDS="${HOROVOD_GLOO_TIMEOUT_SECONDS:-300}"
# Where ranks share cores, ranks that wait for a message yield to ranks that compute.
export OMPI_MCA_mpi_yield_when_idle="${OMPI_MCA_mpi_yield_when_idle:-1}"
# Open MPI runs as root only if both variables allow it. Containers usually run as root.
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT="${OMPI_ALLOW_RUN_AS_ROOT:-1}"
    export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="${OMPI_ALLOW_RUN_AS_ROOT_CONFIRM:-1}"
fi
