"""The database object, its conventions, and the caches: one instance of each, bound in `create_app`."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from flask import current_app
from flask_babel import Babel
from flask_caching import Cache
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger, DateTime, Engine, Integer, MetaData, String, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.orm import DeclarativeBase, registry
from sqlalchemy.types import JSON, TypeDecorator

from integrations.http import PlatformHttp
from integrations.lti.ags import AgsClient
from integrations.lti.jwks import JwksCache
from integrations.lti.notices import NoticeClient
from integrations.lti.nrps import NrpsClient
from integrations.lti.probes import Probes
from integrations.lti.tokens import TokenSource

try:
    from redis import RedisError
except ImportError:  # an extra: without it the cache is in the process
    RedisError = OSError  # type: ignore[assignment,misc]

log = structlog.get_logger()

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# SQLite numbers rows by itself only in a column typed exactly INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime. Naive values are refused; SQLite, which forgets zones, gets UTC back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime reached the database")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class EnumText(TypeDecorator[StrEnum]):
    """A StrEnum kept as its text: Python holds the list of values, so a new one needs no migration."""

    impl = String(32)
    cache_ok = True

    def __init__(self, enum: type[StrEnum]) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else str(self.enum(value))

    def process_result_value(self, value: str | None, dialect: Any) -> StrEnum | None:
        return None if value is None else self.enum(value)


class Base(DeclarativeBase):
    registry = registry(
        metadata=MetaData(naming_convention=NAMING),
        type_annotation_map={int: Id, datetime: UtcDateTime, dict: JSON, list: JSON},
    )


db = SQLAlchemy(model_class=Base)
if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model  # what Flask-SQLAlchemy makes of Base when the program runs
migrate = Migrate()
babel = Babel()


class ForgetfulCache(Cache):
    """A cache that is out of reach has forgotten everything: that costs requests to platforms, nothing else."""

    def get(self, *args: Any, **kwargs: Any) -> Any:
        return self._or_none(super().get, *args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> Any:
        return self._or_none(super().set, *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        return self._or_none(super().delete, *args, **kwargs)

    def _or_none(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except (RedisError, OSError) as error:
            log.warning("cache unavailable", error=type(error).__name__)
            return None


cache = ForgetfulCache()


def insert_into(table: Any) -> Any:
    """INSERT with ON CONFLICT into a model or table, in the dialect of the database."""
    return (sqlite if db.engine.dialect.name == "sqlite" else postgresql).insert(table)


_View = TypeVar("_View", bound=Callable[..., Any])
_reading: ContextVar[bool] = ContextVar("reading", default=False)


def writes(view: _View) -> _View:
    """Mark a GET view that writes, so that its transaction takes SQLite's write lock at the start."""
    view.__dict__["writes"] = True
    return view


def start_as_reader(reading: bool) -> None:
    """Say whether transactions begun from here on only read (set for each request)."""
    _reading.set(reading)


def configure_sqlite(engine: Engine) -> None:
    """WAL, enforced foreign keys, and BEGIN IMMEDIATE for whatever may write.

    The driver's own transaction handling loses updates: it begins a transaction only at the first write,
    after the values were read (tried: 527 of 1,200 lost).
    """

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "busy_timeout=10000",
            "foreign_keys=ON",
            "recursive_triggers=ON",
            "secure_delete=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if _reading.get() else "BEGIN IMMEDIATE")


class PlatformServices:
    """The one HTTP pool of an application and what works over it: key sets, service tokens, AGS.

    `shared` keeps key sets and tokens for all processes when it is Redis.
    """

    def __init__(self, http: PlatformHttp, shared: Cache) -> None:
        self.http = http
        self.jwks = JwksCache(http, shared=shared)
        self.tokens = TokenSource(http, cache=shared)
        self.ags = AgsClient(http, self.tokens)
        self.nrps = NrpsClient(http, self.tokens)
        self.notices = NoticeClient(http, self.tokens)
        self.probes = Probes(http, self.tokens)


def platform_services() -> PlatformServices:
    """The services of the current application."""
    services: PlatformServices = current_app.extensions["platform_services"]
    return services
