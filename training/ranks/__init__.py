"""The ranks of a job: Horovod, devices, launchers."""
