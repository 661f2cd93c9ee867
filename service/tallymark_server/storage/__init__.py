"""The only room that speaks SQL. `contract` says what is promised; each engine keeps it in a room of its own."""
