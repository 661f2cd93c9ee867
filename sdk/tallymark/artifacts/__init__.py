"""Artifacts: save values as files in a store, and load them.

save_load       `Artifact`; save, load and download artifacts
store           read and write files in the store: atomically, and verified by their digest
trusted_stores  the stores from which artifacts may be fetched
file_names      names of artifacts as parts of paths
formats/        the formats, and the values that each supports
"""
