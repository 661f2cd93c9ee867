"""The import of other registries: MLflow and ZenML.

The contents of another registry are not copied as rows. They become commands, which are decided in the order of their
own times and by the same rules as every other change, with a clock that gives those times. So numbers are given by the
registry, a stage has one version, and what breaks a rule is reported and not imported. Sources are read a version at a
time, and the commands of an import are stored on disk, so that memory does not grow with the size of the import.

source_model   the contents of another registry, of any kind
source_fields  fields that another program has written, checked for their types
sanitize       names, labels and values, changed where the rules require it
size_limits    versions and runs, cut to the size that they may have here
timed_commands the contents as commands with their times
replay         the commands, decided in order
source_file    the SQLite file of another registry, read and never written
proxies        whether requests to a server go through a proxy
from_mlflow    the reader of MLflow, for every kind of store
mlflow_records the records of MLflow, in the shape that its stores share
mlflow_sql     a database of MLflow
mlflow_files   a folder of MLflow
mlflow_rest    a server of MLflow
from_zenml     the reader of a database of ZenML
"""
