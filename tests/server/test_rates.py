"""Rate limits: by key, by address, behind proxies, and counted in a real Redis."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from http_fakes import encoded_image, fake_app, part, wait_until
from mien.errors import InvalidParameterError
from mien.server.keys import digest_of
from mien.server.rates import RateLimits
from mien.settings import load_settings
from programs import needs

FILES = [part(encoded_image())]


def statuses(client: TestClient, times: int, **headers: str) -> list[int]:
    return [client.post("/emotion", files=FILES, headers=headers).status_code for _ in range(times)]


def test_exceeding_the_limit_returns_retry_after() -> None:
    app, _ = fake_app(rate_limit="3/minute")
    with TestClient(app) as client:
        assert statuses(client, 3) == [200] * 3
        response = client.post("/emotion", files=FILES)
        assert (response.status_code, response.json()["code"]) == (429, "rate_limited")
        assert 50 <= int(response.headers["Retry-After"]) <= 61
        assert client.post("/emotion/batch", files=FILES).status_code == 429, "it counts both"
        assert client.get("/readyz").status_code == 200


def test_all_limits_apply() -> None:
    app, _ = fake_app(rate_limit="100/second; 2/hour")
    with TestClient(app) as client:
        assert statuses(client, 3) == [200, 200, 429]


def test_each_key_has_its_own_limit() -> None:
    app, _ = fake_app(rate_limit="1/minute", api_keys=f"{digest_of('a')},{digest_of('b')}")
    with TestClient(app) as client:
        assert statuses(client, 2, **{"X-API-Key": "a"}) == [200, 429]
        assert statuses(client, 2, **{"X-API-Key": "b"}) == [200, 429]
        assert statuses(client, 2, **{"X-API-Key": "c"}) == [401, 401], "strangers use up nothing"


@pytest.mark.parametrize(
    ("proxies", "first", "second", "shared"),
    [
        (0, "1.1.1.1", "2.2.2.2", True),  # nobody is believed
        (1, "1.1.1.1", "2.2.2.2", False),
        (1, "9.9.9.9, 1.1.1.1", "8.8.8.8, 1.1.1.1", True),  # what a client made up
        (2, "1.1.1.1, 7.7.7.7", "2.2.2.2, 7.7.7.7", False),
        (2, "1.1.1.1", "2.2.2.2", False),
        (1, "2001:db8::1", "2001:db8::2", True),
        (1, "2001:db8:0:1::1", "2001:db8:0:2::1", False),
        (1, "::ffff:1.1.1.1", "::ffff:2.2.2.2", False),
        (1, "::ffff:1.1.1.1", "1.1.1.1", True),
        (1, "1.1.1.1:5000", "1.1.1.1:5001", True),
        (1, "[2001:db8::1]:5000", "2001:db8::1", True),
        (1, "", " , ", True),
        (1, "\xff", "\xff", True),
    ],
)
def test_clients_are_identified_by_address(
    proxies: int, first: str, second: str, shared: bool
) -> None:
    app, _ = fake_app(rate_limit="1/minute", trusted_proxies=proxies)
    with TestClient(app) as client:
        given = [{"X-Forwarded-For": text.encode("latin-1")} for text in (first, second)]
        responses = [client.post("/emotion", files=FILES, headers=headers) for headers in given]
    assert [response.status_code for response in responses] == [200, 429 if shared else 200]


@pytest.mark.parametrize(
    ("settings", "pattern"),
    [
        ({"rate_limit": "many"}, "60/minute"),
        ({"rate_limit": "5"}, "60/minute"),
        ({"rate_limit": "0/minute"}, "60/minute"),
        ({"rate_limit_storage": "memcached://localhost"}, "redis://"),
        ({"rate_limit_storage": "redis://[::1"}, "not a valid Redis URL"),
        ({"rate_limit_storage": "redis://localhost:port"}, "not a valid Redis URL"),
        ({"trusted_proxies": -1}, "MIEN_TRUSTED_PROXIES"),
    ],
)
def test_invalid_limits_are_refused_at_start(settings: dict[str, object], pattern: str) -> None:
    with pytest.raises(InvalidParameterError, match=pattern):
        RateLimits(load_settings(**settings))


class Redis:
    """A real server in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port = probe.getsockname()[1]
        self._folder = folder
        self.start()

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--save", "", "--dir", self._folder]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(self._answers)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def _answers(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    needs("redis-server")
    server = Redis(tmp_path)
    yield server
    server.kill()


def test_servers_share_counters_in_redis(redis: Redis) -> None:
    apps = [fake_app(rate_limit="3/minute", rate_limit_storage=redis.address)[0] for _ in range(2)]
    with TestClient(apps[0]) as first, TestClient(apps[1]) as second:
        assert statuses(first, 2) + statuses(second, 2) == [200, 200, 200, 429]
        assert statuses(first, 1) == [429]


def test_without_redis_requests_pass_and_one_warning_is_logged(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = fake_app(rate_limit="1/minute", rate_limit_storage=redis.address)
    with TestClient(app) as client:
        assert statuses(client, 2) == [200, 429]
        redis.kill()
        assert statuses(client, 3) == [200] * 3
        reported = [record for record in caplog.records if "not counted" in record.message]
        assert len(reported) == 1
        redis.start()
        assert statuses(client, 2) == [200, 429], "it counts again"


def test_a_hanging_redis_does_not_delay_requests(redis: Redis) -> None:
    app, _ = fake_app(rate_limit="1/minute", rate_limit_storage=redis.address)
    with TestClient(app) as client:
        assert statuses(client, 2) == [200, 429]
        redis.freeze()
        began = time.monotonic()
        assert statuses(client, 2) == [200] * 2
        assert time.monotonic() - began < 8
