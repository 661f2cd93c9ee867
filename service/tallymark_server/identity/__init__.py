"""Callers that other systems vouch for: identity providers by tokens and sign-in, and authorities by certificates.

issuers      the configured issuers of tokens, and the roles that their claims give
identities   those that an issuer vouches for, as callers
keys         the keys of an issuer, fetched and kept
tokens       the verification of their tokens, and callers known by them
sessions     the sessions of browsers
provider     the sign-in of people at an issuer
certificates callers known by the certificates of their connections
"""
