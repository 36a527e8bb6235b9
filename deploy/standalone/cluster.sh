#!/usr/bin/env bash
# Your own Spark cluster: a master, and workers on this and other machines.
#
#   cluster.sh start                start a master and WORKERS workers on this machine
#   cluster.sh join spark://H:P     start WORKERS workers here for a master elsewhere
#   cluster.sh status               show the cluster's processes on this machine
#   cluster.sh stop                 end the processes that start and join started here, no others
#
#   --dry-run       print the commands and run nothing
#   --help          this text
#
# Settings are variables of the environment: HOST (name or address at which other machines reach this
# machine; localhost), PORT (7077), UI_PORT (8080), WORKERS (1), CORES and MEMORY of each worker (all
# cores, 4g), STATE (folder for logs and process ids; runs/spark). Spark comes from SPARK_HOME, or
# from the activated environment. All machines need the same folder for scenes and results.
#
#   spark-submit --master spark://localhost:7077 autolabel/job.py --scenes ... --out ...

# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

HOST=${HOST-localhost}
PORT=${PORT-7077}
UI_PORT=${UI_PORT-8080}
WORKERS=${WORKERS-1}
CORES=${CORES-}
MEMORY=${MEMORY-4g}
STATE=${STATE-$root/runs/spark}
readonly seconds_to_start=180 seconds_to_stop=30

# Find the spark-class of SPARK_HOME, of the PySpark on PATH, or of the clone.
find_spark_class() {
    local home=${SPARK_HOME-} finder
    if [[ -z $home ]]; then
        finder=$(PATH=$root/.venv/bin:$PATH command -v find_spark_home.py) ||
            fail "There is no Spark: run 'make setup', or set SPARK_HOME."
        home=$("$finder")
    fi
    spark_class=$home/bin/spark-class
    need_file "$spark_class" "set SPARK_HOME to a folder of Spark."
}

# A variable that marks our processes from their start. An id alone may belong to a newer process.
marked() { echo "SPARK_DAEMON_JAVA_OPTS=-Dpolynya.cluster=$STATE -Dspark.worker.cleanup.enabled=true"; }

# No pipe into grep: grep ends at the first match, and then the writing program sometimes fails.
is_ours() { grep -zqxF -- "$(marked)" "/proc/$1/environ" 2>/dev/null; }

# Print the NAME of each process that `daemon` started here and that still runs.
running() {
    local file
    for file in "$STATE"/*.pid; do
        if [[ -f $file ]] && is_ours "$(<"$file")"; then
            basename "$file" .pid
        fi
    done
}

# daemon NAME CLASS OPTIONS...: start a process in the background; write its id to NAME.pid.
daemon() {
    local name=$1
    shift
    local words=(env "$(marked)" "$spark_class" "$@")
    if [[ $dry_run == yes ]]; then
        quoted "${words[@]}"
        return
    fi
    nohup "${words[@]}" >"$STATE/$name.log" 2>&1 </dev/null &
    echo $! >"$STATE/$name.pid"
}

# wait_until NAME COMMAND...: wait until the command succeeds; stop all if NAME ends before.
wait_until() {
    [[ $dry_run == no ]] || return 0
    local name=$1 deadline=$((SECONDS + seconds_to_start))
    shift
    until "$@"; do
        if ! kill -0 "$(<"$STATE/$name.pid")" 2>/dev/null || ((SECONDS > deadline)); then
            tail -n 5 "$STATE/$name.log" >&2
            stop >&2
            fail "The $name didn't start: $STATE/$name.log says why."
        fi
        sleep 0.2
    done
}

listening() { (exec 3<>"/dev/tcp/$HOST/$1") 2>/dev/null; }

# Whether the master's page shows this many workers.
registered() {
    local page
    exec 3<>"/dev/tcp/$HOST/$UI_PORT" || return 1
    printf 'GET /json/ HTTP/1.0\r\nHost: %s\r\n\r\n' "$HOST" >&3
    page=$(cat <&3)
    exec 3>&-
    [[ $page =~ \"aliveworkers\"\ *:\ *$1[^0-9] ]]
} 2>/dev/null

prepare() {
    [[ $WORKERS =~ ^[1-9][0-9]*$ ]] || fail "WORKERS is a number from 1 on, not '$WORKERS'."
    [[ $STATE != *[[:space:]]* ]] || fail "Spark can't take the blank in STATE=$STATE."
    find_spark_class
    [[ -z $(running) ]] || fail "$(running | wc -l) of its processes run already; see status, stop."
    run mkdir -p "$STATE"
}

start_workers() {
    local number
    for ((number = 1; number <= WORKERS; number++)); do
        daemon "worker-$number" org.apache.spark.deploy.worker.Worker --host "$HOST" \
            ${CORES:+--cores "$CORES"} --memory "$MEMORY" --webui-port 0 \
            --work-dir "$STATE/work-$number" "$1"
    done
}

start() {
    prepare
    [[ $dry_run == yes ]] || ! listening "$PORT" ||
        fail "Something listens at $HOST:$PORT already: choose another PORT."
    daemon master org.apache.spark.deploy.master.Master --host "$HOST" --port "$PORT" \
        --webui-port "$UI_PORT"
    wait_until master listening "$PORT"
    start_workers "spark://$HOST:$PORT"
    wait_until "worker-$WORKERS" registered "$WORKERS"
    [[ $dry_run == yes ]] || echo "Ready: spark://$HOST:$PORT, http://$HOST:$UI_PORT"
}

join() {
    prepare
    start_workers "$1"
    [[ $dry_run == yes ]] || echo "Started $WORKERS; $STATE/worker-*.log say whether they join $1."
}

stop() {
    local name id ids=() deadline=$((SECONDS + seconds_to_stop))
    for name in $(running); do
        id=$(<"$STATE/$name.pid")
        run kill "$id"
        ids+=("$id")
    done
    [[ $dry_run == no ]] || return 0
    for id in "${ids[@]}"; do
        while is_ours "$id"; do
            ((SECONDS <= deadline)) || kill -9 "$id"
            sleep 0.1
        done
    done
    rm -f "$STATE"/*.pid
    echo "Stopped ${#ids[@]}."
}

status() {
    local name
    for name in $(running); do
        echo "$name $(<"$STATE/$name.pid")"
    done
}

main() {
    local words=()
    for word; do
        case $word in
            --help | -h) show_help "${BASH_SOURCE[0]}" && exit ;;
            --dry-run) dry_run=yes ;;
            *) words+=("$word") ;;
        esac
    done
    case ${words[*]-} in
        start | stop | status) "${words[0]}" ;;
        "join spark://"*:*) join "${words[1]}" ;;
        *) fail "Say what to do: start, join spark://HOST:PORT, status or stop; see --help." ;;
    esac
}

main "$@"
