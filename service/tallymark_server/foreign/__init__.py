"""Registries of other makers, told to the log as if it had always been there.

What another registry holds is not copied as rows: it is decided again, in the order of its own times, by the same rules
as every other change, with a clock that tells those times. So numbers are given by the line, stages are held by one
version, and what breaks a rule is reported and not imported.

found        what there is in another registry, whatever its make
fitting      what a name, a label or a value becomes here
telling      what was found, as commands with their times
bringing     has the commands decided
opened       the SQLite file of another registry, read and never written
from_mlflow  finds in MLflow
from_zenml   finds in a database of ZenML
"""
