"""What the registry costs, as ratios to a bare gRPC echo on the same machine in the same run: `make bench`."""
