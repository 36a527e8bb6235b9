#!/usr/bin/env bash
# Run Polynya's Spark jobs on Google Cloud Dataproc.
#
#   dataproc.sh create                    make the cluster; it deletes itself when idle
#   dataproc.sh label    JOB OPTIONS      label scenes on the cluster (autolabel/job.py)
#   dataproc.sh import   KIND JOB OPTIONS bring labels that you have (autolabel/import_job.py)
#   dataproc.sh predict  JOB OPTIONS      map scenes on the cluster (inference/job.py)
#   dataproc.sh status                    show what runs and costs money
#   dataproc.sh delete                    delete the cluster at once
#
# Options in addition to the job's own:
#   --dry-run       print the commands, one per line, and run nothing
#   --serverless    label, import, predict: as a serverless batch, which needs no cluster but the image of
#                   deploy/container
#   --pack FOLDER   label, import, predict: folder that `make pack` wrote; default: runs/pack
#   --help          this text
#
# JOB OPTIONS are the options of the job, e.g. --scenes '/mnt/polynya/scenes/*.tif' --out /mnt/polynya/shards
# --recipe recipe.yaml. The recipe is a file on this machine and is sent with the job. Scenes, models and
# results are on the bucket, which every node of the cluster sees as the folder MOUNT.
#
# Settings: deploy/dataproc/settings.env, or variables of the environment, e.g. PROJECT=my-project
# BUCKET=my-bucket dataproc.sh create. Only gcloud is needed here, logged in.

# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

here=$root/deploy/dataproc
pack=$root/runs/pack
serverless=no

# Run gcloud without questions, and without changing the project in gcloud's own settings.
gcloud_run() { run gcloud --project="$PROJECT" --quiet "$@"; }

check_settings() {
    read_settings "$here/settings.env"
    need_setting PROJECT "set it to the id of your Google Cloud project."
    need_setting REGION "set it to the region of your bucket, e.g. europe-west1."
    need_program gcloud "install the Google Cloud CLI and run 'gcloud auth login'."
}

# Every command that stores files needs the bucket.
check_bucket() {
    need_setting BUCKET "set it to the name of your bucket, without gs://."
    [[ $BUCKET != */* ]] || fail "The setting BUCKET is a name without gs:// or folder, not $BUCKET."
    staging=gs://$BUCKET/$FOLDER
}

create() {
    check_bucket
    need_file "$AUTOSCALING" "name the autoscaling policy with the setting AUTOSCALING."
    gcloud_run dataproc autoscaling-policies import "$CLUSTER" --source="$AUTOSCALING" \
        --region="$REGION"
    gcloud_run storage cp "$here/mount_bucket.sh" "$staging/mount_bucket.sh"
    local options=(
        --region="$REGION"
        ${ZONE:+--zone="$ZONE"}
        --image-version="$IMAGE_VERSION"
        --master-machine-type="$MASTER_MACHINE"
        --master-boot-disk-size="$BOOT_DISK"
        --worker-machine-type="$WORKER_MACHINE"
        --worker-boot-disk-size="$BOOT_DISK"
        --num-workers=2
        --num-worker-local-ssds="$LOCAL_SSDS"
        --secondary-worker-type="$SPOT_TYPE"
        --num-secondary-workers=0
        --secondary-worker-boot-disk-size="$BOOT_DISK"
        --num-secondary-worker-local-ssds="$LOCAL_SSDS"
        --autoscaling-policy="$CLUSTER"
        --delete-max-idle="$MAX_IDLE"
        --delete-max-age="$MAX_AGE"
        --bucket="$BUCKET"
        --subnet="$SUBNET"
        --no-address
        ${SERVICE_ACCOUNT:+--service-account="$SERVICE_ACCOUNT"}
        --scopes=cloud-platform
        --enable-component-gateway
        --initialization-actions="$staging/mount_bucket.sh"
        --metadata="polynya-bucket=$BUCKET,polynya-mount=$MOUNT"
        # Drivers never run on a spot worker: a lost driver ends the whole job.
        --properties=dataproc:am.primary_only=true
        --labels=app=polynya
    )
    gcloud_run dataproc clusters create "$CLUSTER" "${options[@]}"
}

delete() {
    gcloud_run dataproc clusters delete "$CLUSTER" --region="$REGION"
    gcloud_run dataproc autoscaling-policies delete "$CLUSTER" --region="$REGION"
}

status() {
    local job=status.state:label=STATE,status.stateStartTime:label=SINCE
    gcloud_run dataproc clusters list --region="$REGION" --filter=labels.app=polynya \
        --format="table(clusterName,status.state,config.workerConfig.numInstances:label=WORKERS,config.secondaryWorkerConfig.numInstances:label=SPOT,config.lifecycleConfig.idleDeleteTtl:label=MAX_IDLE)"
    gcloud_run dataproc jobs list --region="$REGION" --state-filter=active \
        --filter=labels.app=polynya --format="table(reference.jobId,labels.stage,$job)"
    gcloud_run dataproc batches list --region="$REGION" \
        --filter="labels.app=polynya AND state=(PENDING,RUNNING,CANCELLING)" \
        --format="table(name.basename(),labels.stage,state,stateTime)"
}

# submit STAGE SCRIPT JOB_OPTIONS...: send a job; the file named by --recipe is sent with it.
submit() {
    local stage=$1 script=$2 files=() arguments=() out=''
    shift 2
    check_bucket
    need_file "$root/$script" "this version of Polynya has no Spark job for it."
    while (($#)); do
        case $1 in
            --recipe)
                need_value "$@"
                if ships_recipe "$2"; then
                    arguments+=("$1" "$2")
                else
                    need_file "$2" "--recipe names a file on this machine."
                    files+=("$2")
                    arguments+=("$1" "$(basename "$2")")
                fi
                shift 2
                ;;
            --out)
                need_value "$@"
                out=$2
                arguments+=("$1" "$2")
                shift 2
                ;;
            *)
                arguments+=("$1")
                shift
                ;;
        esac
    done
    [[ -n $out ]] || fail "The job has no --out: name the folder for its results."
    if [[ $serverless == yes ]]; then
        submit_batch
    else
        submit_job
    fi
}

# The jobs themselves write shards to gs://, but maps only if the settings allow it.
check_object_store() {
    [[ $stage != predict || $OBJECT_STORE_MAPS == yes ]] ||
        fail "This Polynya writes maps to folders only: run it on the cluster with --out below" \
            "$MOUNT, or set OBJECT_STORE_MAPS=yes for a version that writes them to gs:// itself."
}

submit_job() {
    if [[ $out == gs://* ]]; then
        check_object_store
    elif [[ $out != "$MOUNT"/* ]]; then
        fail "--out $out is lost with the cluster: name a folder below $MOUNT, which is the bucket."
    fi
    # Importing needs the packages of labelling.
    local environment=$pack/polynya-${stage/import/label}.pex code=$pack/polynya.zip
    need_file "$environment" "run 'make pack', or name its folder with --pack."
    need_file "$code" "run 'make pack', or name its folder with --pack."
    # The name in the bucket has the digest of the content, so each environment is uploaded once.
    local digest remote
    digest=$(sha256sum "$environment")
    remote=$staging/packs/${digest:0:16}/polynya.pex
    gcloud_run storage cp --no-clobber "$environment" "$remote"
    files=("$remote" "${files[@]}")
    local properties=(
        # The driver runs on a primary worker; YARN puts the files into its folder.
        spark.submit.deployMode=cluster
        spark.pyspark.python=./polynya.pex
        # All executors of a node unpack the environment once.
        spark.executorEnv.PEX_ROOT=/tmp/polynya-pex
        spark.yarn.appMasterEnv.PEX_ROOT=/tmp/polynya-pex
        spark.yarn.maxAppAttempts=1
        "spark.executor.cores=$EXECUTOR_CORES"
    )
    properties+=("${spark_properties[@]}")
    gcloud_run dataproc jobs submit pyspark "$root/$script" --cluster="$CLUSTER" \
        --region="$REGION" --py-files="$code" --files="$(joined "${files[@]}")" \
        --properties="$(joined "${properties[@]}")" --labels="app=polynya,stage=$stage" \
        -- "${arguments[@]}"
}

submit_batch() {
    need_setting IMAGE "build deploy/container with --target serverless and push it (docs/deploy.md)."
    [[ $out == gs://* ]] ||
        fail "--out $out is lost with the batch, whose workers share no folder: name a gs:// folder."
    check_object_store
    local properties=(
        "spark.dynamicAllocation.maxExecutors=$BATCH_EXECUTORS_MAX"
        "spark.executor.cores=$BATCH_CORES"
        "spark.driver.cores=4"
    )
    properties+=("${spark_properties[@]}")
    gcloud_run dataproc batches submit pyspark "$root/$script" --region="$REGION" \
        --version="$RUNTIME_VERSION" --container-image="$IMAGE" --deps-bucket="$BUCKET" \
        --subnet="$SUBNET" ${SERVICE_ACCOUNT:+--service-account="$SERVICE_ACCOUNT"} \
        --ttl="$BATCH_TTL" ${files[0]:+--files="$(joined "${files[@]}")"} \
        --properties="$(joined "${properties[@]}")" --labels="app=polynya,stage=$stage" \
        -- "${arguments[@]}"
}

# Join words with commas.
joined() {
    local IFS=,
    echo "$*"
}

main() {
    local command='' words=()
    while (($#)); do
        case $1 in
            --help | -h) show_help "${BASH_SOURCE[0]}" && exit ;;
            --dry-run) dry_run=yes ;;
            --serverless) serverless=yes ;;
            --pack) need_value "$@" && pack=$2 && shift ;;
            *) if [[ -z $command ]]; then command=$1; else words+=("$1"); fi ;;
        esac
        shift
    done
    case $command in
        label | import | predict) ;;
        create | delete | status)
            ((${#words[@]} == 0)) || fail "$command doesn't know ${words[0]}; see --help."
            ;;
        *) fail "Say what to do: create, label, import, predict, status or delete; see --help." ;;
    esac
    check_settings
    # Pixels are in the Python workers, outside the JVM. A slow task may be on a node that is being
    # removed. So Spark starts a second copy of the task elsewhere; both copies write the same bytes.
    spark_properties=(
        "spark.executor.memory=$EXECUTOR_MEMORY"
        "spark.executor.memoryOverhead=$PYTHON_MEMORY"
        "spark.task.maxFailures=$TASK_FAILURES"
        spark.speculation=true
        spark.speculation.quantile=0.9
        spark.speculation.multiplier=2
    )
    case $command in
        create) create ;;
        delete) delete ;;
        status) status ;;
        label) submit label autolabel/job.py "${words[@]}" ;;
        import) submit import autolabel/import_job.py "${words[@]}" ;;
        predict) submit predict inference/job.py "${words[@]}" ;;
    esac
}

main "$@"
