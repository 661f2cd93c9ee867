"""Who may do what: tokens, service accounts and grants, decided without I/O.

members     those to whom roles are granted
token_text  the text of a token, which its owner keeps
events      what happened, as the log of access records it
state       the present state, folded from the events
views       what an admin sees of the state
commands    what may be requested, and the events that follow from it
"""
