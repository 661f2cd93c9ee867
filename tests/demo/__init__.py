"""The main job on real input: `make demo` trains a real model on real data, and shows the versions it was given."""
