"""`make demo`: train a real model on real data with the registry, and print the versions that were created."""
