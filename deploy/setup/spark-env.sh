# Copied into Spark's conf folder by `make setup`; Spark reads it before it starts Java. Polynya adds
# what Java may lack on this machine: a host name that resolves, a name for a user that the system
# doesn't know, and the Python of this environment. Variables that you have set yourself stay.
# shellcheck shell=bash
polynya_python=$(dirname "${BASH_SOURCE[0]}")/../../../../../bin/python
if [[ -x $polynya_python ]]; then
    eval "$("$polynya_python" -c \
        'from polynya.environment import print_spark_environment as p; p()' 2>/dev/null)"
fi
unset polynya_python
