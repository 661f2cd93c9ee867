"""The only package with SQL. `contract` says what an engine promises; each engine has a package of its own."""
