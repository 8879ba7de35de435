"""Addresses of pictures: who gets them, how long, and what the host in them is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from limner.service.pictures.links import LinkGone, Links
from limner.storage.blobs.folder import Folder
from limner.storage.blobs.store import PASSING
from limner.storage.db.database import Database
from limner.storage.db.keys import signing_key
from tests.server.helpers import (
    BODY,
    GENERATIONS,
    Server,
    assert_openai_error,
    make_settings,
    open_picture,
    running,
    wait_until,
)

ADDRESS = re.compile(
    r"/v1/images/files/(img-[A-Za-z0-9]{24}\.(?:png|jpg|webp))\?se=(\d+)&sig=([0-9a-f]{64})"
)


class Clock:
    """A clock that goes when told to."""

    now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


KEY = b"of the tests"


def _find(links: Links, address: str) -> bytes | None:
    match = ADDRESS.fullmatch(address)
    assert match
    found = links.find(*match.groups())
    if found is None:
        return None
    path, seen = found
    coming = links.read(path, (0, seen.n_bytes))
    return coming.read() if coming else None


def _url(server: Server, **body: object) -> str:
    return str(server.generate(**body, response_format="url").json()["data"][0]["url"])


@pytest.mark.parametrize(
    ("format", "ending", "kind"),
    [("png", ".png", "image/png"), ("jpeg", ".jpg", "image/jpeg"), ("webp", ".webp", "image/webp")],
)
def test_picture_is_fetched_by_its_address_alone(
    server: Server, format: str, ending: str, kind: str
) -> None:
    url = _url(server, output_format=format)
    assert urlsplit(url).path.endswith(ending)
    assert url.startswith(f"{server.url}/v1/images/files/img-")
    response = server.http.get(url, headers={"authorization": "Bearer of something else"})
    assert response.status_code == 200
    assert response.headers["content-type"] == kind
    assert response.headers["cache-control"] == "private, max-age=3600"
    assert open_picture(response.content).size == (256, 256)
    head = server.http.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(response.content)


def test_changed_address_is_refused(server: Server) -> None:
    url = _url(server)
    end = int(re.search(r"se=(\d+)", url)[1])  # type: ignore[index]
    for changed in (
        url.replace(f"se={end}", f"se={end + 9}"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.split("?")[0],
        url + "é",
        re.sub("se=[0-9]+", "se=x", url),
    ):
        assert_openai_error(server.http.get(changed), 403, "link_expired")
    folder = server.url + "/v1/images/files"
    for path in ("", "/", "/link.key", "/..%2flink.key", "/%2e%2e/link.key", "/img-.png"):
        assert_openai_error(server.http.get(folder + path), 404, "unknown_url")


def test_address_ends_after_its_time_and_the_picture_goes(tmp_path: Path) -> None:
    clock = Clock()
    uptime = Clock()
    links = Links(Folder(tmp_path), KEY, 3600, clock, uptime)
    name = links.store(b"picture", "png")
    path = tmp_path / PASSING / name
    address = links.address(name)
    assert _find(links, address) == b"picture"
    clock.now_s += 3599
    assert _find(links, address) == b"picture"
    clock.now_s += 1
    with pytest.raises(LinkGone, match="expired"):
        _find(links, address)
    clock.now_s -= 1_000  # a clock that is set back makes no address longer than it was
    assert _find(links, address) == b"picture"
    uptime.now_s += 3599
    links.sweep(1e12)  # whatever clocks say: this server knows when it stored the picture
    assert path.exists()
    uptime.now_s += 2
    links.sweep(0.0)
    assert not path.exists()


def test_what_a_stopped_server_left_goes_and_nothing_else(tmp_path: Path) -> None:
    stopped, foreign = (Links(Folder(tmp_path), key, 3600) for key in (KEY, b"of others"))
    name, strange = stopped.store(b"picture", "png"), foreign.store(b"picture", "png")
    folder = tmp_path / PASSING
    for other in ("holiday.png", "notes.txt", f".{strange}.part"):
        (folder / other).write_bytes(b"not ours")
    (folder / "more").mkdir()
    (folder / f".{name}.part").write_bytes(b"half")
    stored_s = (folder / name).stat().st_mtime
    links = Links(Folder(tmp_path), KEY, 3600)
    links.sweep(stored_s + 3590)
    assert (folder / name).exists()
    links.sweep(stored_s + 3700)
    assert {path.name for path in folder.iterdir()} == {
        strange,
        "holiday.png",
        "notes.txt",
        f".{strange}.part",
        "more",
    }


def test_address_works_after_a_restart_and_not_elsewhere(tmp_path: Path) -> None:
    def open_links(home: Path) -> Links:
        database = Database("", home)
        key = signing_key(database)
        database.close()
        return Links(Folder(tmp_path / "store"), key, 3600)

    first = open_links(tmp_path / "home")
    name = first.keep(b"picture", "png", "req_1", 0)
    address = first.address(name)
    assert _find(open_links(tmp_path / "home"), address) == b"picture"
    with pytest.raises(LinkGone, match="signature"):
        _find(open_links(tmp_path / "elsewhere"), address)
    first.discard(name)
    assert _find(first, address) is None


def test_addresses_cannot_be_guessed_from_each_other(tmp_path: Path) -> None:
    links = Links(Folder(tmp_path), KEY, 60)
    addresses = [links.address(links.store(b"same", "png")) for _ in range(20)]
    assert len({ADDRESS.fullmatch(a).groups()[2] for a in addresses}) == 20  # type: ignore[union-attr]


def test_what_is_read_is_closed_whatever_becomes_of_the_reader(server: Server) -> None:
    url = _url(server, size="1024x1024")
    for _ in range(3):
        with server.http.stream("GET", url) as response:
            assert response.status_code == 200
            next(response.iter_raw())
    assert server.http.head(url).status_code == 200
    folder = str(server.service.settings.home)
    wait_until(lambda: not [path for path in _open_files() if path.startswith(f"{folder}/history")])


def _open_files() -> list[str]:
    paths = []
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            paths.append(str(handle.readlink()))
    return paths


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server behind a proxy of this machine, called by any name."""
    home = tmp_path_factory.mktemp("proxied")
    with running(make_settings(home, proxies="127.0.0.0/8", hosts_allowed="*")) as server:
        yield server


@pytest.mark.parametrize(
    ("headers", "start"),
    [
        ({"host": "pictures.local:9"}, "http://pictures.local:9/v1/"),
        ({"x-forwarded-proto": "https", "host": "inner"}, "https://inner/v1/"),
        (
            {"x-forwarded-proto": "https, http", "x-forwarded-host": "outer.org, inner"},
            "https://outer.org/v1/",
        ),
        ({"x-forwarded-host": "[::1]:80"}, "http://[::1]:80/v1/"),
        ({"x-forwarded-host": "a b/<script>", "host": "inner"}, "http://inner/v1/"),
        ({"x-forwarded-proto": "javascript", "host": "inner"}, "http://inner/v1/"),
        ({"host": "x/../y"}, "http://127.0.0.1:"),
        ({"forwarded": "for=1.2.3.4;host=outer.org;proto=https"}, "https://outer.org/v1/"),
        ({"forwarded": 'Host="[::1]:80", host=inner', "host": "inner"}, "http://[::1]:80/v1/"),
    ],
)
def test_host_of_the_address(proxied: Server, headers: dict[str, str], start: str) -> None:
    body = {"prompt": "a cat", "size": "256x256"}
    response = proxied.http.post(GENERATIONS, json=body, headers=headers)
    assert response.json()["data"][0]["url"].startswith(start)


def test_only_a_trusted_proxy_is_believed(server: Server) -> None:
    for name, value in (
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.example;proto=https"),
    ):
        response = server.http.post(GENERATIONS, json=BODY, headers={name: value})
        assert response.json()["data"][0]["url"].startswith(f"{server.url}/v1/"), name


def test_public_url_wins(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, public_url="https://example.org/limner/")
    with running(settings) as server:
        response = server.http.post(
            GENERATIONS,
            json={"prompt": "a cat", "size": "256x256"},
            headers={"x-forwarded-host": "other"},
        )
    url = response.json()["data"][0]["url"]
    assert url.startswith("https://example.org/limner/v1/images/files/img-")
