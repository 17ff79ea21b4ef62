"""Every setting, read from the environment in this one place; a missing or bad one stops the start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from environs import Env, EnvError
from marshmallow import validate


class BadSettings(Exception):
    """Lists every setting that is missing or wrong, one line each."""


@dataclass(frozen=True, slots=True)
class Settings:
    """README's table of settings explains each; a test compares the two."""

    secret_key: str
    key_encryption_key: str
    public_url: str
    instance: Path
    database_url: str
    redis_url: str | None
    worker: str
    delivery_threads: int
    broker_url: str | None
    metrics_token: str | None
    trusted_proxies: int
    ca_file: str | None
    log_level: str
    show_design: bool
    open_registration: str | None
    contact: str | None

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")


def read_settings(env: Env | None = None) -> Settings:
    """Read GONGYU_* from the environment. Raises BadSettings naming each missing or bad one."""
    env = env or Env(eager=False)
    with env.prefixed("GONGYU_"):
        instance = env.path("INSTANCE", default=Path("instance"))
        secret_key = env.str("SECRET_KEY", validate=validate.Length(min=16))
        key_encryption_key = env.str("KEY_ENCRYPTION_KEY", validate=_fernet_key)
        public_url = env.str("PUBLIC_URL", default="http://127.0.0.1:8000", validate=_origin)
        database_url = env.str("DATABASE_URL", default="")
        redis_url = env.str("REDIS_URL", default="") or None
        worker = env.str("WORKER", default="", validate=validate.OneOf(["", "embedded", "celery", "none"]))
        delivery_threads = env.int("DELIVERY_THREADS", default=0, validate=validate.Range(0, 200))
        broker_url = env.str("BROKER_URL", default="", validate=_broker) or None
        metrics_token = env.str("METRICS_TOKEN", default="", validate=_long_or_empty) or None
        trusted_proxies = env.int("TRUSTED_PROXIES", default=0, validate=validate.Range(0, 5))
        ca_file = env.str("CA_FILE", default="", validate=_readable_file) or None
        log_level = env.str(
            "LOG_LEVEL", default="INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])
        )
        show_design = env.bool("SHOW_DESIGN", default=False)
        open_registration = env.str("OPEN_REGISTRATION", default="", validate=validate.Length(0, 120)) or None
        contact = env.str("CONTACT", default="", validate=validate.Length(0, 200)) or None
    try:
        env.seal()
    except EnvError as error:
        raise BadSettings(str(error)) from error
    if worker == "celery" and broker_url is None:
        raise BadSettings("GONGYU_BROKER_URL: needed with GONGYU_WORKER=celery (redis://… or amqp://…)")
    instance = instance.resolve()
    database_url = database_url or f"sqlite:///{instance / 'gongyu.sqlite3'}"
    return Settings(
        secret_key=secret_key,
        key_encryption_key=key_encryption_key,
        public_url=public_url.rstrip("/"),
        instance=instance,
        database_url=_with_driver(database_url),
        redis_url=redis_url,
        worker=worker or ("embedded" if database_url.startswith("sqlite") else "none"),
        delivery_threads=delivery_threads or (4 if database_url.startswith("sqlite") else 20),
        broker_url=broker_url,
        metrics_token=metrics_token,
        trusted_proxies=trusted_proxies,
        ca_file=ca_file,
        log_level=log_level,
        show_design=show_design,
        open_registration=open_registration,
        contact=contact,
    )


def _with_driver(url: str) -> str:
    """`postgresql://` means psycopg 3 here; SQLAlchemy's own default would be psycopg2."""
    for plain in ("postgres://", "postgresql://"):
        if url.startswith(plain):
            return "postgresql+psycopg://" + url.removeprefix(plain)
    if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise BadSettings("GONGYU_DATABASE_URL: only sqlite:///FILE and postgresql://… are supported")
    return url


def _fernet_key(value: str) -> None:
    try:
        Fernet(value)
    except (ValueError, TypeError) as error:
        raise validate.ValidationError("must be a Fernet key (32 bytes, url-safe base64)") from error


def _broker(value: str) -> None:
    if value and urlsplit(value).scheme not in ("redis", "rediss", "amqp", "amqps"):
        raise validate.ValidationError("must begin with redis://, rediss://, amqp:// or amqps://")


def _long_or_empty(value: str) -> None:
    if 0 < len(value) < 16:
        raise validate.ValidationError("must have at least 16 characters")
    if not value.isascii():
        raise validate.ValidationError("must be ASCII: it comes in a header")


def _readable_file(value: str) -> None:
    if value and not Path(value).is_file():
        raise validate.ValidationError("there is no such file")


def _origin(value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
        raise validate.ValidationError("must be http(s)://host[:port] without a path")
