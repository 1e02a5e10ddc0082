"""The service: the contract over HTTP. The only part that knows the web framework."""
