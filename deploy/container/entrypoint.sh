#!/usr/bin/env bash
# Entry point of the image. Spark on Kubernetes starts the pods of a job with one of two words:
#
#   driver OPTIONS...   the job itself, submitted in client mode from inside its pod
#   executor            one executor; SPARK_* variables name its driver
#
# Anything else is a command of the image: polynya label ..., spark-submit ..., bash. The words, the
# variables and the Java class are the same as in Spark 4's
# resource-managers/kubernetes/docker/src/main/dockerfiles/spark/entrypoint.sh.
set -euo pipefail

driver() {
    exec "$SPARK_HOME/bin/spark-submit" \
        --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
        --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS" \
        --deploy-mode client "$@"
}

executor() {
    # Each of the variables SPARK_JAVA_OPT_0, SPARK_JAVA_OPT_1, ... has one option of the JVM.
    local options=() name
    for name in "${!SPARK_JAVA_OPT_@}"; do
        options+=("${!name}")
    done
    # Spark mounts the job's settings in the folder SPARK_CONF_DIR. Java itself expands the star.
    local classes="${SPARK_CONF_DIR:+$SPARK_CONF_DIR:}$SPARK_HOME/jars/*"
    classes+=${SPARK_CLASSPATH:+:$SPARK_CLASSPATH}${SPARK_DIST_CLASSPATH:+:$SPARK_DIST_CLASSPATH}
    exec "$JAVA_HOME/bin/java" "${options[@]}" \
        "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
        -cp "$classes" \
        org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
        --driver-url "$SPARK_DRIVER_URL" \
        --executor-id "$SPARK_EXECUTOR_ID" \
        --cores "$SPARK_EXECUTOR_CORES" \
        --app-id "$SPARK_APPLICATION_ID" \
        --hostname "$SPARK_EXECUTOR_POD_IP" \
        --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" \
        --podName "$SPARK_EXECUTOR_POD_NAME"
}

case ${1:-} in
    driver | executor) "$@" ;;
    "") exec polynya --help ;;
    *) exec "$@" ;;
esac
