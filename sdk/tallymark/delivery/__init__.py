"""Deliver the records of runs to the registry: from a journal on disk, in the background, in order and exactly once.

journal         the file that stores the records of a run until the registry has them
spool           the folder of the journals, and the locks on them
delivery        the delivery of one journal
batches         group records into requests
uploads         files that wait in the spool for their store
outcomes        send requests of a journal, and classify errors
full_metadata   versions whose metadata has reached its size limit
renamed_models  versions whose model was renamed during a run
sender          the thread that delivers the journals of one registry
"""
