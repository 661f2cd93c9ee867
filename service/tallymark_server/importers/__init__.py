"""Registries of other makers, told to the log as if it had always been there.

What another registry holds is not copied as rows: it is decided again, in the order of its own times, by the same rules
as every other change, with a clock that gives those times. So numbers are given by the line, stages are held by one
version, and what breaks a rule is reported and not imported. Sources are read a version at a time, and the commands of
an import wait on disk, so that memory does not grow with what is imported.

source_model   what there is in another registry, whatever its make
source_fields  fields of what another program wrote, with the types that they must have
sanitize       what a name, a label or a value becomes here
size_limits    as much of a version or a run as one holds here
timed_commands what was found, as commands with their times
replay         has the commands decided
source_file    the SQLite file of another registry, read and never written
proxies        whether a proxy stands between this program and a server
from_mlflow    finds in MLflow, whatever its store
mlflow_records what MLflow keeps, in the shape that its stores share
mlflow_sql     a database of MLflow
mlflow_files   a folder of MLflow
mlflow_rest    a server of MLflow
from_zenml     finds in a database of ZenML
"""
