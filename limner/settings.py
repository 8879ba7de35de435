"""Settings, read once: flag > LIMNER_… variable > limner.toml > default.

Two files are looked at, ./limner.toml before LIMNER_HOME/limner.toml, key by key. Each value
knows where it came from; `limner settings` prints both. A new setting is one more field here.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from limner.errors import SettingsError

PREFIX = "LIMNER_"
FILE = "limner.toml"
DEFAULT = "default"
EARLIER_ENGINES = {"onnx": "transformer"}  # earlier names of engines, which version 0.2 drops


@dataclass(frozen=True)
class Kind:
    """How a setting is read from text or TOML, and the words for what is wanted."""

    read: Callable[[Any], Any]  # raises ValueError or TypeError for what it does not take
    form: str
    is_secret: bool = False  # never shown, not even when it is wrong
    hides_wrong: bool = False  # shown unless it is wrong: then a secret may stand in it


def _read_text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value


def _read_engine(value: Any) -> str:
    name = _read_text(value)
    return EARLIER_ENGINES.get(name, name)


def _whole_number(low: int, high: int) -> Kind:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise TypeError
        number = int(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return Kind(read, f"a whole number from {low} to {high}")


def _choice(*values: str) -> Kind:
    def read(value: Any) -> str:
        if value not in values:
            raise ValueError
        return str(value)

    return Kind(read, " or ".join(values))


def _read_switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"on": True, "off": False}[_read_text(value).strip().lower()]


def _read_list(value: Any) -> tuple[str, ...]:
    """A TOML array of texts, or one text with commas; empty when nothing is in it."""
    parts = value.split(",") if isinstance(value, str) else list(value)
    return tuple(_read_text(part).strip() for part in parts if part != "")


def _read_networks(value: Any) -> tuple[str, ...]:
    """Addresses and networks; one with bits set behind its prefix is most likely a mistake."""
    return tuple(str(ip_network(part)) for part in _read_list(value))


def _read_url(value: Any) -> str:
    if value == "":
        return ""
    address = urlsplit(_read_text(value))
    if address.scheme not in ("http", "https") or not address.hostname or address.query:
        raise ValueError
    return str(value).rstrip("/")


def _read_services(value: Any) -> tuple[str, ...]:
    """Addresses of services; a name or a password in one would be shown, and has a setting."""
    found = tuple(_read_url(part) for part in _read_list(value))
    if any("@" in urlsplit(part).netloc or urlsplit(part).fragment for part in found):
        raise ValueError
    return found


def _read_service(value: Any) -> str:
    found = _read_services(value)
    if len(found) > 1:
        raise ValueError
    return found[0] if found else ""


def _read_cluster(value: Any) -> str:
    """A node's host:port, or "auto"; not an address of Ray's client, which has no streams."""
    if value in ("", "auto"):
        return str(value)
    host, _, port = _read_text(value).rpartition(":")
    if not host or not port.isdecimal() or "/" in value:
        raise ValueError
    return str(value)


def _read_pool(value: Any) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", _read_text(value), re.ASCII):
        raise ValueError
    return str(value)


def _read_header_keys(value: Any) -> tuple[str, ...]:
    """Keys that can stand in a header: ASCII without spaces."""
    found = _read_list(value)
    if not all(key.isascii() and key.isprintable() and " " not in key for key in found):
        raise ValueError
    return found


def _read_header_key(value: Any) -> str:
    found = _read_header_keys(value)
    if len(found) > 1:
        raise ValueError
    return found[0] if found else ""


def _read_database(value: Any) -> str:
    if value == "":
        return ""
    if urlsplit(_read_text(value)).scheme not in ("postgresql", "postgres"):
        raise ValueError
    return str(value)


def _read_store(value: Any) -> str:
    if value == "":
        return ""
    address = urlsplit(_read_text(os.fspath(value)))
    if address.scheme == "s3":
        # A secret would be shown here, and has a setting of its own.
        if not address.netloc or set("@:?#") & set(value.removeprefix("s3://")):
            raise ValueError
    elif "://" in str(value):
        raise ValueError
    return str(value).rstrip("/")


def _read_credentials(value: Any) -> str:
    if value == "":
        return ""
    id, _, secret = _read_text(value).partition(":")
    if not id or not secret:
        raise ValueError
    return str(value)


def _read_producer(value: Any) -> str:
    text = _read_text(value).strip()
    if len(text) > 200 or not text.isprintable():
        raise ValueError
    return text


def _read_optional_path(value: Any) -> str:
    return value if value == "" else str(Path(_read_text(os.fspath(value))).expanduser())


TEXT = Kind(_read_text, "some text")
MODEL = Kind(lambda value: "" if value == "" else _read_text(value), "empty, or a model's name")
ENGINE = Kind(_read_engine, "some text")
PRODUCER = Kind(_read_producer, "one line of at most 200 characters")
PEM = ANY_PATH = Kind(_read_optional_path, "empty, or the path of a file")
FOLDER = Kind(lambda value: Path(_read_text(os.fspath(value))).expanduser(), "the path of a folder")
COUNT = _whole_number(0, 1024)
SWITCH = Kind(_read_switch, "on or off")
LIST = Kind(_read_list, "texts separated by commas")
NETWORKS = Kind(_read_networks, "addresses or networks such as 10.0.0.0/8, separated by commas")
KEYS = Kind(_read_list, "keys separated by commas", is_secret=True)
DATABASE = Kind(
    _read_database, "empty, or an address such as postgresql://user@host/name", is_secret=True
)
URL = Kind(_read_url, "an address such as https://pictures.example.org")
ANY_FOLDER = Kind(_read_optional_path, "empty, or the path of a folder")
SERVICES = Kind(
    _read_services,
    "addresses such as https://api.openai.com/v1, separated by commas, without a key in them",
    hides_wrong=True,
)
HEADER_KEYS = Kind(
    _read_header_keys, "keys of ASCII characters, separated by commas", is_secret=True
)
SERVICE = Kind(
    _read_service,
    "empty, or an address such as https://api.openai.com/v1 without a key in it",
    hides_wrong=True,
)
HEADER_KEY = Kind(_read_header_key, "empty, or a key of ASCII characters", is_secret=True)
CLUSTER = Kind(
    _read_cluster, "empty, auto (the Ray node of this machine), or the host:port of the head node"
)
POOL = Kind(_read_pool, "a name of a to z, 0 to 9 and hyphens")
STORE = Kind(_read_store, "empty, the path of a folder, or s3://bucket/prefix", hides_wrong=True)
CREDENTIALS = Kind(_read_credentials, "empty, or a key id, a colon and its secret", is_secret=True)


def _about(kind: Kind, help: str) -> dict[str, Any]:
    return {"kind": kind, "help": help}


@dataclass(frozen=True)
class Settings:
    """Every setting, with `origins` saying where each value came from."""

    home: Path = field(
        default=Path("~/.limner"), metadata=_about(FOLDER, "folder for everything limner writes")
    )
    engine: str = field(
        default="transformer", metadata=_about(ENGINE, "engine that draws when none is named")
    )
    backend: str = field(
        default="auto",
        metadata=_about(
            _choice("auto", "onnx", "torch"),
            "what runs the transformer's networks; torch needs limner[train]",
        ),
    )
    device: str = field(
        default="auto",
        metadata=_about(
            _choice("auto", "cpu", "cuda", "mps"),
            "where torch runs; auto: a GPU if it finds one. mps is for diffusion",
        ),
    )
    apart: bool = field(
        default=False,
        metadata=_about(SWITCH, "draw with that engine in a process of its own"),
    )
    threads: int = field(
        default=0, metadata=_about(COUNT, "processor cores to draw with; 0 means all")
    )
    batch: int = field(
        default=8,
        metadata=_about(_whole_number(1, 64), "pictures drawn together at most; 1: one at a time"),
    )
    weights: str = field(
        default="nano", metadata=_about(TEXT, "shipped weights by name, or a checkpoint folder")
    )
    memory: int = field(
        default=0,
        metadata=_about(
            _whole_number(0, 100_000_000),
            "MB that models of `limner models add` may take together; 0 means any",
        ),
    )
    models_pinned: tuple[str, ...] = field(
        default=(),
        metadata=_about(LIST, "those that stay in memory once loaded, whatever others need"),
    )
    model_minutes: int = field(
        default=15,
        metadata=_about(
            _whole_number(0, 525_600),
            "how long an unused one of them stays in memory; 0 means for ever",
        ),
    )
    diffusion_model: str = field(
        default="",
        metadata=_about(ANY_FOLDER, "folder of the pipeline that engine diffusion draws with"),
    )
    diffusion_transformer: str = field(
        default="",
        metadata=_about(ANY_PATH, "GGUF file with its transformer, in place of the folder's"),
    )
    diffusion_loras: str = field(
        default="",
        metadata=_about(ANY_FOLDER, "folder with LoRA files, *.safetensors, to choose from"),
    )
    diffusion_previews: str = field(
        default="",
        metadata=_about(ANY_FOLDER, "folder of a tiny decoder (TAESD) for better previews"),
    )
    diffusion_dtype: str = field(
        default="auto",
        metadata=_about(
            _choice("auto", "float32", "float16", "bfloat16"),
            "its numbers; auto: float32 on a CPU, 16 bits on a GPU",
        ),
    )
    diffusion_offload: str = field(
        default="off",
        metadata=_about(
            _choice("off", "model", "sequential"),
            "keep its networks, or even their layers, in main memory until the GPU needs them",
        ),
    )
    openvino_model: str = field(
        default="",
        metadata=_about(ANY_FOLDER, "folder of OpenVINO IR that engine openvino draws with"),
    )
    sdcpp_model: str = field(
        default="",
        metadata=_about(ANY_PATH, "GGUF or safetensors file that engine sdcpp draws with"),
    )
    sdcpp_parts: tuple[str, ...] = field(
        default=(),
        metadata=_about(LIST, "files that it needs beside it, such as vae=PATH,t5xxl=PATH"),
    )
    upstream_url: tuple[str, ...] = field(
        default=(),
        metadata=_about(SERVICES, "services that engine upstream draws with, the first one first"),
    )
    upstream_key: tuple[str, ...] = field(
        default=(),
        repr=False,
        metadata=_about(HEADER_KEYS, "their keys: one for all, or one for each in their order"),
    )
    upstream_model: str = field(
        default="",
        metadata=_about(MODEL, "model that they are asked for; empty: they choose"),
    )
    upstream_dialect: str = field(
        default="openai",
        metadata=_about(
            _choice("openai", "limner", "vllm-omni", "sdcpp", "sdapi"), "what they understand"
        ),
    )
    upstream_requests: int = field(
        default=4,
        metadata=_about(_whole_number(1, 64), "pictures that are drawn there at the same time"),
    )
    upstream_connect_s: int = field(
        default=5,
        metadata=_about(_whole_number(1, 600), "seconds until a connection is there"),
    )
    upstream_first_byte_s: int = field(
        default=300,
        metadata=_about(_whole_number(1, 86_400), "seconds until the answer begins"),
    )
    upstream_total_s: int = field(
        default=600,
        metadata=_about(_whole_number(1, 86_400), "seconds until the answer ends"),
    )
    upstream_record: str = field(
        default="",
        metadata=_about(ANY_FOLDER, "folder that their answers are kept in, to be replayed"),
    )
    upstream_replay: str = field(
        default="",
        metadata=_about(ANY_FOLDER, "folder with such answers, which are given; nothing is asked"),
    )
    planner_url: str = field(
        default="",
        metadata=_about(
            SERVICE, "chat server that plans for /v1/responses and chats; empty: none plans"
        ),
    )
    planner_key: str = field(default="", repr=False, metadata=_about(HEADER_KEY, "its key"))
    planner_model: str = field(
        default="",
        metadata=_about(MODEL, "model that it is asked for; empty: the one that the client names"),
    )
    planner_s: int = field(
        default=60,
        metadata=_about(_whole_number(1, 3600), "seconds that it may take for one answer"),
    )
    ray_address: str = field(
        default="",
        metadata=_about(CLUSTER, "Ray cluster that engine ray draws on; needs limner[ray]"),
    )
    ray_pool: str = field(
        default="limner",
        metadata=_about(POOL, "pool of replicas there, as `limner ray deploy` calls it"),
    )
    ray_model: str = field(
        default="",
        metadata=_about(MODEL, "model of the pool that is asked for; empty: its first one"),
    )
    ray_requests: int = field(
        default=0,
        metadata=_about(
            COUNT, "pictures that are drawn there at the same time; 0: one for each replica"
        ),
    )
    host: str = field(default="127.0.0.1", metadata=_about(TEXT, "address the server listens at"))
    port: int = field(
        default=8000,
        metadata=_about(
            _whole_number(0, 65535), "port the server listens at; 0 means any free one"
        ),
    )
    public_url: str = field(
        default="",
        metadata=_about(URL, "address of the server as others see it; empty: as they called it"),
    )
    api_keys: tuple[str, ...] = field(
        default=(),
        repr=False,
        metadata=_about(KEYS, "keys that may draw; none: everyone who reaches the server may"),
    )
    queue: int = field(
        default=32,
        metadata=_about(_whole_number(1, 1024), "requests that may wait while one is drawn"),
    )
    max_upload_mb: int = field(
        default=100,
        metadata=_about(_whole_number(1, 1024), "size of a request with pictures, in MB"),
    )
    link_minutes: int = field(
        default=60,
        metadata=_about(_whole_number(1, 525_600), "how long the address of a picture works"),
    )
    origins_allowed: tuple[str, ...] = field(
        default=(),
        metadata=_about(LIST, "web pages that may call the server, such as https://example.org"),
    )
    hosts_allowed: tuple[str, ...] = field(
        default=(),
        metadata=_about(LIST, "names that a server without keys is called by; * means any"),
    )
    proxies: tuple[str, ...] = field(
        default=(),
        metadata=_about(NETWORKS, "proxies whose Forwarded and X-Forwarded headers are believed"),
    )
    connections: int = field(
        default=1000,
        metadata=_about(_whole_number(10, 100_000), "connections that may be open at once"),
    )
    connections_per_address: int = field(
        default=200,
        metadata=_about(_whole_number(1, 100_000), "how many of them one address may have"),
    )
    strict: bool = field(
        default=True,
        metadata=_about(
            SWITCH,
            "off: sizes are rounded, unknown parameters and models passed over, with a notice",
        ),
    )
    response_format: str = field(
        default="url",
        metadata=_about(
            _choice("url", "b64_json"),
            "how own names, and requests without a model, answer when the request does not say",
        ),
    )
    moderation: bool = field(
        default=True, metadata=_about(SWITCH, "refuse prompts with words of the blocked list")
    )
    safety: bool = field(
        default=False,
        metadata=_about(SWITCH, "refuse swear words and nudity, too; needs limner[safety]"),
    )
    history: bool = field(
        default=True, metadata=_about(SWITCH, "keep prompts, parameters and pictures")
    )
    history_days: int = field(
        default=30,
        metadata=_about(_whole_number(0, 36_500), "how long they are kept; 0 means for ever"),
    )
    history_mb: int = field(
        default=2000,
        metadata=_about(
            _whole_number(0, 1_000_000_000), "MB of pictures that are kept; 0 means any"
        ),
    )
    database: str = field(
        default="",
        repr=False,
        metadata=_about(DATABASE, "PostgreSQL to use; empty: a file in home"),
    )
    store: str = field(
        default="",
        metadata=_about(STORE, "where pictures are kept; empty: in home. s3:// needs limner[s3]"),
    )
    store_endpoint: str = field(
        default="",
        metadata=_about(URL, "address of the S3 server; empty: AWS_ENDPOINT_URL, or that of AWS"),
    )
    store_credentials: str = field(
        default="",
        repr=False,
        metadata=_about(
            CREDENTIALS, "key of the S3 server; empty: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ),
    )
    label: str = field(
        default="label",
        metadata=_about(
            _choice("off", "label", "full"),
            "what files say of their making: nothing, all but the prompt, or all",
        ),
    )
    producer: str = field(
        default="limner", metadata=_about(PRODUCER, "who the label says has made the picture")
    )
    c2pa_cert: str = field(
        default="",
        metadata=_about(PEM, "PEM certificate chain to sign pictures with; needs limner[c2pa]"),
    )
    c2pa_key: str = field(
        default="",
        metadata=_about(PEM, "PEM private key of it; empty: in the same file"),
    )
    log: str = field(
        default="text",
        metadata=_about(_choice("text", "json"), "form of the server's log lines"),
    )
    traces: bool = field(
        default=False,
        metadata=_about(SWITCH, "send traces as the OTEL_ variables say; needs limner[otel]"),
    )

    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class _Source:
    """One place that gives values: its words for messages, and the raw values by field name."""

    name: Callable[[str], str]  # field name → "LIMNER_ENGINE", "/etc/limner.toml"
    values: Mapping[str, Any]


def fields() -> dict[str, dataclasses.Field[Any]]:
    """The settings there are, by name."""
    return {f.name: f for f in dataclasses.fields(Settings) if "kind" in f.metadata}


def shown(settings: Settings, key: str) -> str:
    """The value of setting `key` as people may read it: a secret is counted and not told."""
    value = getattr(settings, key)
    if fields()[key].metadata["kind"].is_secret:
        n_set = len(value) if isinstance(value, tuple) else int(bool(value))
        return f"{n_set} set"
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def variable(key: str) -> str:
    """The environment variable of setting `key`."""
    return PREFIX + key.upper()


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path = Path(),
) -> Settings:
    """Read all settings once; a wrong value or an unknown key in a file is a SettingsError.

    `flags` holds values from the command line by setting name, None meaning not given; `folder`
    is where the nearer limner.toml is looked for.
    """
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    sources = [
        _Source(lambda key: f"flag --{key.replace('_', '-')}", given),
        _from_environment(os.environ if environ is None else environ),
        _from_file(folder / FILE),
    ]
    home, home_origin = _pick("home", sources)
    sources.append(_from_file(home / FILE, in_home=True))
    values, origins = {"home": home}, {"home": home_origin}
    for key in fields():
        if key != "home":
            values[key], origins[key] = _pick(key, sources)
    return Settings(**values, origins=origins)


def checked(key: str, value: Any, origin: str = "given") -> Any:
    """`value` as setting `key` has it; a SettingsError if it is none."""
    return _checked(key, value, origin, fields()[key].metadata["kind"])


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """LIMNER_… variables that no setting reads: most likely slips of the pen."""
    known = {variable(key) for key in fields()}
    names = os.environ if environ is None else environ
    return sorted(name for name in names if name.startswith(PREFIX) and name not in known)


def _pick(key: str, sources: list[_Source]) -> tuple[Any, str]:
    kind: Kind = fields()[key].metadata["kind"]
    for source in sources:
        if key in source.values:
            origin = source.name(key)
            return _checked(key, source.values[key], origin, kind), origin
    return _checked(key, fields()[key].default, DEFAULT, kind), DEFAULT


def _checked(key: str, value: Any, origin: str, kind: Kind) -> Any:
    try:
        return kind.read(value)
    # KeyError: no such switch; RuntimeError: expanduser without a home
    except (ValueError, TypeError, KeyError, RuntimeError):
        is_hidden = kind.is_secret or kind.hides_wrong
        said = "a value that cannot be read" if is_hidden else f"the value {value!r}"
        raise SettingsError(
            f"Setting {key} has {said} ({origin}); it must be {kind.form}"
        ) from None


def _from_environment(environ: Mapping[str, str]) -> _Source:
    # An empty variable counts as not set, as shells make it hard to tell the two apart.
    values = {key: environ[variable(key)] for key in fields() if environ.get(variable(key))}
    return _Source(variable, values)


def _from_file(path: Path, *, in_home: bool = False) -> _Source:
    origin = str(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        content = {}
    except OSError as error:
        raise SettingsError(
            f"Cannot read {path}: {error.strerror}",
            hint="run limner as a user that may read it, or set LIMNER_HOME to a folder of yours",
        ) from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    values = dict(_flat(content))
    for key in values:
        _check_known(key, origin)
    if in_home and "home" in values:
        raise SettingsError(
            f"Setting home stands in {path}, which is only found once home is known",
            hint=f"set {variable('home')}, or put it into ./{FILE}",
        )
    return _Source(lambda key: origin, values)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A table [server] with host = … gives the setting server_host."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}_")
        else:
            yield prefix + key, value


def _check_known(key: str, origin: str) -> None:
    if key not in fields():
        near = get_close_matches(key, fields(), n=1)
        raise SettingsError(
            f"Setting {key} in {origin} is not known",
            hint=f"did you mean {near[0]}?" if near else f"settings are {', '.join(fields())}",
        )
