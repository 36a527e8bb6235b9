#!/usr/bin/env bash
# Run Polynya's Spark jobs on Kubernetes, by spark-submit's own support for Kubernetes; and sweeps.
#
#   kubernetes.sh setup                    make the service account that drivers run as
#   kubernetes.sh label   JOB OPTIONS      label scenes (autolabel/job.py)
#   kubernetes.sh import  KIND JOB OPTIONS bring labels that you have (autolabel/import_job.py)
#   kubernetes.sh predict JOB OPTIONS      map scenes (inference/job.py)
#   kubernetes.sh sweep   STUDY JOB OPTIONS start the workers of a sweep (polynya sweep)
#   kubernetes.sh status                   show pods of jobs
#   kubernetes.sh delete                   end running jobs and remove all pods of jobs
#
#   --dry-run       print the commands, one per line, and run nothing
#   --help          this text
#
# JOB OPTIONS are the options of the job. Scenes, recipes, models and results are on one volume that
# every pod mounts at MOUNT; its claim must allow ReadWriteMany (NFS, CephFS, Filestore).
#
# Settings: deploy/kubernetes/settings.env, or variables of the environment. spark-submit comes from
# the activated environment; setup, sweep, status and delete need kubectl.

# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

here=$root/deploy/kubernetes
# Folder of the jobs in the image.
packages=/opt/polynya/lib/python3.11/site-packages

kubectl_run() { run kubectl --namespace="$NAMESPACE" "$@"; }

need_kubectl() { need_program kubectl "install it and give it a context for the cluster."; }

# submit STAGE SCRIPT JOB_OPTIONS...
submit() {
    local stage=$1 script=$2 previous='' word out='' setting
    shift 2
    need_setting API "set it to the address of the API server; 'kubectl cluster-info' shows it."
    need_setting IMAGE "build deploy/container and push it to your registry (docs/deploy.md)."
    need_setting CLAIM "set it to the claim of a volume that all pods may mount."
    need_file "$root/$script" "this version of Polynya has no Spark job for it."
    need_program spark-submit "run 'make setup' and 'source .venv/bin/activate'."
    for word; do
        case $previous in
            --out | --recipe | --model)
                [[ $word == "$MOUNT"/* ]] || { [[ $previous == --recipe ]] && ships_recipe "$word"; } ||
                    fail "$previous $word isn't on the volume: name a place below $MOUNT."
                ;;
        esac
        [[ $previous != --out ]] || out=$word
        previous=$word
    done
    [[ -n $out ]] || fail "The job has no --out: name the folder for its results."

    local settings=(
        "spark.kubernetes.namespace=$NAMESPACE"
        "spark.kubernetes.container.image=$IMAGE"
        spark.kubernetes.authenticate.driver.serviceAccountName=polynya
        "spark.kubernetes.driver.podTemplateFile=$here/pod.yaml"
        "spark.kubernetes.executor.podTemplateFile=$here/pod.yaml"
        "spark.executor.instances=$EXECUTORS"
        "spark.executor.cores=$EXECUTOR_CORES"
        "spark.executor.memory=$EXECUTOR_MEMORY"
        # Pixels are in the Python workers, outside the JVM.
        "spark.executor.memoryOverhead=$PYTHON_MEMORY"
        "spark.task.maxFailures=$TASK_FAILURES"
        spark.speculation=true
        spark.speculation.quantile=0.9
        spark.speculation.multiplier=2
    )
    local role volume
    for role in driver executor; do
        volume=spark.kubernetes.$role.volumes.persistentVolumeClaim.data
        settings+=("$volume.options.claimName=$CLAIM" "$volume.mount.path=$MOUNT")
    done
    local options=()
    for setting in "${settings[@]}"; do
        options+=(--conf "$setting")
    done
    run spark-submit --master "k8s://$API" --deploy-mode cluster --name "polynya-$stage" \
        "${options[@]}" "local://$packages/$script" "$@"
}

# Print words as a list in JSON, which is YAML too.
json_list() {
    local word line=''
    for word; do
        [[ $word != *[[:cntrl:]]* ]] || fail "A word of the job has a control character: ${word@Q}."
        word=${word//\\/\\\\}
        line+="\"${word//\"/\\\"}\", "
    done
    echo "[${line%, }]"
}

# sweep STUDY JOB_OPTIONS...
sweep() {
    local previous='' word shards='' out='' setting
    need_setting IMAGE "build deploy/container and push it to your registry (docs/deploy.md)."
    need_setting CLAIM "set it to the claim of a volume that all pods may mount."
    [[ $WORKERS =~ ^[1-9][0-9]*$ ]] ||
        fail "The setting WORKERS is a number from 1 on, not '$WORKERS'."
    for setting in NAMESPACE IMAGE CLAIM MOUNT WORKER_CORES WORKER_MEMORY; do
        [[ ${!setting} =~ ^[A-Za-z0-9_./:@-]+$ ]] ||
            fail "The setting $setting is '${!setting}', which can't stand in a manifest."
    done
    need_kubectl
    (($# > 0)) && [[ $1 != --* ]] || fail "The job has no study: name one after sweep."
    ships_study "$1" || [[ $1 == "$MOUNT"/* ]] ||
        fail "The study $1 isn't on the volume: name a place below $MOUNT, or one that ships."
    for word; do
        case $previous in
            --shards | --out)
                [[ $word == "$MOUNT"/* ]] ||
                    fail "$previous $word isn't on the volume: name a place below $MOUNT."
                ;;
        esac
        [[ $previous != --shards ]] || shards=$word
        [[ $previous != --out ]] || out=$word
        previous=$word
    done
    [[ -n $shards ]] || fail "The job has no --shards: name the folder of labelled tiles."
    [[ -n $out ]] || fail "The job has no --out: name the folder for its results."

    local manifest
    manifest=$(sed -e "s|@NAMESPACE@|$NAMESPACE|" -e "s|@IMAGE@|$IMAGE|" -e "s|@CLAIM@|$CLAIM|" \
        -e "s|@MOUNT@|$MOUNT|" -e "s|@WORKERS@|$WORKERS|" -e "s|@CORES@|$WORKER_CORES|" \
        -e "s|@MEMORY@|$WORKER_MEMORY|" "$here/sweep.yaml")
    manifest=${manifest//@COMMAND@/"$(json_list polynya sweep "$@")"}
    kubectl_run create --filename=- <<<"$manifest"
    # A dry run prints the command, and what it would read.
    [[ $dry_run == no ]] || echo "$manifest"
}

main() {
    local command='' words=() word
    for word; do
        case $word in
            --help | -h) show_help "${BASH_SOURCE[0]}" && exit ;;
            --dry-run) dry_run=yes ;;
            *) if [[ -z $command ]]; then command=$word; else words+=("$word"); fi ;;
        esac
    done
    case $command in
        label | import | predict | sweep) ;;
        setup | status | delete)
            ((${#words[@]} == 0)) || fail "$command doesn't know ${words[0]}; see --help."
            ;;
        *) fail "Say what to do: setup, label, import, predict, sweep, status or delete; see --help." ;;
    esac
    read_settings "$here/settings.env"
    case $command in
        setup) need_kubectl && kubectl_run apply --filename "$here/access.yaml" ;;
        label) submit label autolabel/job.py "${words[@]}" ;;
        import) submit import autolabel/import_job.py "${words[@]}" ;;
        predict) submit predict inference/job.py "${words[@]}" ;;
        sweep) sweep "${words[@]}" ;;
        status) need_kubectl && kubectl_run get pods --selector app=polynya ;;
        # Deleting a driver also deletes its executors and its settings.
        delete) need_kubectl && kubectl_run delete jobs,pods --selector app=polynya ;;
    esac
}

main "$@"
