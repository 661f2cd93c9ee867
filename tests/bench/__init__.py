"""The benches of `make bench` and `make bench-...`: speed, memory and growth, measured on one machine in one run."""
