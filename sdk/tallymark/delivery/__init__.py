"""What runs record, on its way to the registry: kept on disk first, delivered in the background, once and in order.

journal         the file in which every record of a run is kept until the registry has it
spool           the folder of the journals, and who holds which
delivery        one journal on its way
batches         which records go in one request
uploads         files that are put into the store on the way
outcomes        which answers of the registry end a delivery for now
full_metadata   versions whose metadata has no room left
renamed_models  versions whose model is renamed meanwhile
sender          the thread that delivers, one for each registry
"""
