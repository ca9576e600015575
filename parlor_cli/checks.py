"""What is wrong with a configuration, found before anything starts and without Ray: within a second."""

from __future__ import annotations

from collections.abc import Iterator

from parlor.errors import InvalidRequest
from parlor.llm.personas import PersonasError, UnknownDefault, load_personas
from parlor.llm.providers import ProviderError, load_provider
from parlor.settings import LLM_PROVIDERS
from parlor.settings.loading import Configuration, ConfigurationError
from parlor.store.addresses import parse_address, store_addresses
from parlor_cli.configuration import read
from parlor_cli.installation import Founding, Installation
from parlor_cli.options import OPTIONS, UpOptions, decide
from parlor_cli.ports import why_not
from parlor_cli.ray_address import why_no_ray
from parlor_cli.refusal import Refusal


def check(options: UpOptions) -> None:
    """Raises ``Refusal`` that names the place, the key and the value of everything that is wrong."""
    overrides = options.overrides()
    for key, option in OPTIONS.items():
        if overrides.get(key[0], {}).get(key[1]) == "":
            raise Refusal(f"{option} is empty: leave it out, or set the variable that it is made of")
    configuration = read(overrides, OPTIONS)
    checks = (_language_model, _databases, _redis, _identity, _sign_in, _ports, _ray)
    problems = [problem for check in checks for problem in check(configuration)]
    if problems:
        raise Refusal(str(ConfigurationError(problems)))
    installation = Installation.find(options.data_dir)
    blueprint = decide(options, configuration.settings, installation.founding if installation else Founding(id=""))
    default = configuration.settings.store.default_shard
    if default > blueprint.shards:
        what = f"there are {blueprint.shards} shards"
        raise Refusal(str(ConfigurationError([configuration.problem("store", "default_shard", what)])))


def _language_model(configuration: Configuration) -> Iterator[str]:
    llm = configuration.settings.llm
    try:
        load_personas(llm)
    except UnknownDefault as error:
        yield configuration.problem("llm", "default_persona", str(error))
    except PersonasError as error:
        yield configuration.problem("llm", "personas_file", str(error))
    if llm.provider not in LLM_PROVIDERS:
        try:
            load_provider(llm.provider)
        except ProviderError as error:
            yield configuration.problem("llm", "provider", str(error))


def _databases(configuration: Configuration) -> Iterator[str]:
    store = configuration.settings.store
    given = [("urls", f"entry {number}: ", url) for number, url in enumerate(store.urls, start=1)]
    for field, where, url in [*given, ("global_url", "", store.global_url)]:
        try:
            if text := url.get_secret_value():
                parse_address(text)
        except InvalidRequest as error:
            yield configuration.problem("store", field, f"{where}{error.detail}")
            return
    try:
        if store.urls:
            store_addresses(store)
    except InvalidRequest as error:
        yield configuration.problem("store", "urls", error.detail)


def _redis(configuration: Configuration) -> Iterator[str]:
    redis = configuration.settings.redis
    if "?" in redis.url.get_secret_value():
        # Only then: redis-py takes as long to import as everything else here.
        from parlor.cache.clients import require_options

        try:
            require_options(redis)
        except InvalidRequest as error:
            yield configuration.problem("redis", "url", error.detail)


def _identity(configuration: Configuration) -> Iterator[str]:
    settings = configuration.settings
    if settings.identity.jwks_url and settings.identity.issuer == settings.auth.issuer:
        what = "it is the issuer of Parlor's own tokens too (auth.issuer), and tells the two apart"
        yield configuration.problem("identity", "issuer", what)


def _sign_in(configuration: Configuration) -> Iterator[str]:
    if configuration.settings.auth.sign_in_by_name:
        # Only then: it takes a moment to import.
        from api.this_machine import exposed

        if problem := exposed(configuration.settings):
            yield configuration.problem("auth", "sign_in_by_name", problem)


def _ports(configuration: Configuration) -> Iterator[str]:
    settings = configuration.settings
    if reason := why_not(settings.api.host, 0):
        yield configuration.problem("api", "host", f"cannot listen there: {reason}")
    if settings.connections.health_port and settings.connections.health_port == settings.api.port:
        yield configuration.problem("connections", "health_port", "the API has that port; give another, or 0")


def _ray(configuration: Configuration) -> Iterator[str]:
    address = configuration.settings.ray.address
    if address and (reason := why_no_ray(address)):
        yield configuration.problem("ray", "address", reason)
