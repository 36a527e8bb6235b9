#!/usr/bin/env bash
# Train on a cluster that Slurm runs.
#
#   slurm.sh train  JOB OPTIONS         submit a training (training/train.py)
#   slurm.sh sweep  STUDY JOB OPTIONS   submit the workers of a sweep (polynya sweep) as an array
#   slurm.sh status                     show jobs that wait or run
#   slurm.sh cancel                     end these jobs
#
#   --dry-run       print the commands, one per line, and run nothing
#   --help          this text
#
# JOB OPTIONS are the options of training/train.py, or of polynya sweep. The clone, the shards and --out must be on a file
# system that all nodes mount. If Slurm restarts a job after a node was lost, the job continues from
# its last checkpoint. Workers of a sweep share its trials, however many of them run at a time.
#
# Settings: deploy/slurm/settings.env, or variables of the environment.

# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

here=$root/deploy/slurm

need_slurm() { need_program "$1" "run this on a login node of the cluster."; }

# Read --shards, --out and --recipe of a job.
read_words() {
    local previous='' word
    for word; do
        case $previous in
            --shards) shards=$word ;;
            --out) out=$word ;;
            --recipe) ships_recipe "$word" || need_file "$word" "name a recipe with --recipe." ;;
        esac
        previous=$word
    done
    [[ -n $shards ]] || fail "The job has no --shards: name the folder of labelled tiles."
    [[ -n $out ]] || fail "The job has no --out: name the folder for what it makes."
}

# sweep STUDY JOB_OPTIONS...
sweep() {
    local shards='' out='' number
    need_slurm sbatch
    for number in WORKERS CPUS_PER_WORKER; do
        [[ ${!number} =~ ^[1-9][0-9]*$ ]] ||
            fail "The setting $number is a number from 1 on, not '${!number}'."
    done
    [[ $GPUS_PER_WORKER =~ ^[0-9]+$ ]] ||
        fail "The setting GPUS_PER_WORKER is a number from 0 on, not '$GPUS_PER_WORKER'."
    need_file "$ENVIRONMENT/bin/activate" "run 'make setup', or set ENVIRONMENT."
    (($# > 0)) && [[ $1 != --* ]] || fail "The job has no study: name one after sweep."
    ships_study "$1" || need_file "$1" "name a study after sweep."
    read_words "$@"

    local options=(
        "--job-name=$JOB_NAME"
        ${PARTITION:+"--partition=$PARTITION"}
        ${ACCOUNT:+"--account=$ACCOUNT"}
        "--array=1-$WORKERS"
        --nodes=1
        --ntasks=1
        "--cpus-per-task=$CPUS_PER_WORKER"
    )
    ((GPUS_PER_WORKER == 0)) || options+=("--gpus=$GPUS_PER_WORKER")
    options+=(
        ${MEMORY_PER_NODE:+"--mem=$MEMORY_PER_NODE"}
        "--time=$TIME_LIMIT"
        --requeue
        "--output=$LOGS/%x-%A-%a.txt"
        "--export=ALL,ENVIRONMENT=$ENVIRONMENT,CLONE=$root"
        "--signal=B:USR1@$WARN_SECONDS"
    )
    run mkdir -p "$LOGS"
    run sbatch "${options[@]}" "$here/sweep.sbatch" "$@"
}

# train JOB_OPTIONS...
train() {
    local shards='' out='' number
    need_slurm sbatch
    for number in NODES RANKS_PER_NODE CPUS_PER_RANK; do
        [[ ${!number} =~ ^[1-9][0-9]*$ ]] ||
            fail "The setting $number is a number from 1 on, not '${!number}'."
    done
    [[ $GPUS_PER_NODE =~ ^[0-9]+$ ]] ||
        fail "The setting GPUS_PER_NODE is a number from 0 on, not '$GPUS_PER_NODE'."
    ((GPUS_PER_NODE == 0 || RANKS_PER_NODE == GPUS_PER_NODE)) ||
        fail "A rank trains on one GPU: set RANKS_PER_NODE to GPUS_PER_NODE, or GPUS_PER_NODE to 0."
    case $LAUNCHER in
        srun | mpirun | horovodrun) ;;
        *) fail "The setting LAUNCHER is srun, mpirun or horovodrun, not '$LAUNCHER'." ;;
    esac
    need_file "$ENVIRONMENT/bin/activate" "run 'make setup', or set ENVIRONMENT."
    read_words "$@"

    local options=(
        "--job-name=$JOB_NAME"
        ${PARTITION:+"--partition=$PARTITION"}
        ${ACCOUNT:+"--account=$ACCOUNT"}
        "--nodes=$NODES"
        "--ntasks-per-node=$RANKS_PER_NODE"
        "--cpus-per-task=$CPUS_PER_RANK"
    )
    ((GPUS_PER_NODE == 0)) || options+=("--gpus-per-node=$GPUS_PER_NODE")
    options+=(
        ${MEMORY_PER_NODE:+"--mem=$MEMORY_PER_NODE"}
        "--time=$TIME_LIMIT"
        --requeue
        "--output=$LOGS/%x-%j.txt"
        "--export=ALL,LAUNCHER=$LAUNCHER,ENVIRONMENT=$ENVIRONMENT,CLONE=$root"
    )
    # The job's script becomes the launcher, which gets this signal. srun and mpirun pass it on to the
    # ranks.
    [[ $LAUNCHER == horovodrun ]] || options+=("--signal=B:USR1@$WARN_SECONDS")
    run mkdir -p "$LOGS"
    run sbatch "${options[@]}" "$here/train.sbatch" "$@"
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
        train | sweep) ;;
        status | cancel)
            ((${#words[@]} == 0)) || fail "$command doesn't know ${words[0]}; see --help."
            ;;
        *) fail "Say what to do: train, sweep, status or cancel; see --help." ;;
    esac
    read_settings "$here/settings.env"
    case $command in
        train) train "${words[@]}" ;;
        sweep) sweep "${words[@]}" ;;
        status) need_slurm squeue && run squeue --me "--name=$JOB_NAME" ;;
        cancel) need_slurm scancel && run scancel --me "--name=$JOB_NAME" ;;
    esac
}

main "$@"
