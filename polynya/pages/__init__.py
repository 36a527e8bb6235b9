"""What pages share that a command serves on this machine: who may ask, gestures, controls."""
