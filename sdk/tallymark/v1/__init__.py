"""The stubs of the API, for programs that speak gRPC themselves: a module for each file of the contract.

Made by `make protos`; a program that records models from Python imports `tallymark` instead.
"""
