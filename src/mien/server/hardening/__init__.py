"""What uvicorn lacks for a service on an open network.

uvicorn has no limit on the time in which a client sends headers or accepts a response, nor on the
number of small chunks. It responds to malformed HTTP in plain text and lets one of several server
processes accept all waiting connections. It stops listening as soon as it gets a stop signal,
closes connections whose request it has not read, and restarts its processes on SIGHUP.

``tests/server/test_hardening.py`` tests that plain uvicorn has each gap: if such a test fails, that
part is no longer needed. Subclasses depend on uvicorn's internals, so ``pyproject.toml`` limits
uvicorn to the releases that these tests have run with.
"""
