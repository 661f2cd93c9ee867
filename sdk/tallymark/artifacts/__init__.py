"""Artifacts: values that become files in a store, and files that become values again.

save_load   `Artifact`; saving, loading and downloading
store       where the files lie: written whole or not at all, verified when they are read
trusted_stores  which stores are fetched from, and which files of them
file_names  names of artifacts as parts of paths
formats/    the formats, and which values each of them takes
"""
