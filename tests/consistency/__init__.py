"""Whether what clients were told agrees with the log, and with the order in which they were told it.

history   what was asked and answered, and when
past      the log as it was exported, and what it says of everything as of each revision
work      requests of every method, chosen at random
clients   clients that send them, twice at once, cancelled and repeated, while the server is killed
checking  what of it cannot have been
answers   whether an answer is what the log says as of a revision
refusals  whether a refusal is
"""
