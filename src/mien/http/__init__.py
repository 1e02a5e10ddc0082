"""The service: requests in, answers of the contract out."""
