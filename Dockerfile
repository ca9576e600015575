# Parlor in an image: `parlor up` as a user without rights, its data under /var/lib/parlor. docs/CONTAINER.md says how it
# is run. A test reads this file, and `make image-steps` executes it as far as a machine without Docker can.

FROM python:3.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /src
COPY requirements/run.lock requirements/
# Wheels alone, each with its hash: nothing is compiled, so no compiler is needed.
RUN python -m venv /opt/parlor
RUN /opt/parlor/bin/pip install --only-binary :all: --require-hashes -r requirements/run.lock
COPY pyproject.toml README.md LICENSE NOTICE CHANGELOG.md ./
COPY actors actors/
COPY api api/
COPY demo_model demo_model/
COPY parlor parlor/
COPY parlor_bench parlor_bench/
COPY parlor_cli parlor_cli/
COPY sql sql/
RUN /opt/parlor/bin/hatchling build -t wheel -d dist
RUN /opt/parlor/bin/pip install --no-deps --no-index dist/*.whl
# What built it is not needed to run it.
RUN /opt/parlor/bin/pip uninstall --yes hatchling pathspec pluggy trove-classifiers pip

FROM python:3.12-slim-bookworm
# tini as process 1: it passes signals on, and ends what a killed process leaves. The links are for KubeRay, which starts Ray
# in a login shell with a PATH of its own.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --create-home --shell /usr/sbin/nologin parlor \
    && install --directory --owner=parlor --group=parlor --mode=0700 /var/lib/parlor \
    && install --directory --mode=0755 /etc/parlor \
    && ln -s /opt/parlor/bin/ray /opt/parlor/bin/serve /opt/parlor/bin/parlor /usr/local/bin/
COPY --from=build /opt/parlor /opt/parlor
# Inside a container loopback is the container alone: who reaches the port is decided where it is published.
ENV PATH=/opt/parlor/bin:/usr/local/bin:/usr/bin:/bin \
    PARLOR_DATA_DIR=/var/lib/parlor \
    PARLOR_API__HOST=0.0.0.0 \
    PARLOR_API__PORT=8000 \
    PARLOR_CONNECTIONS__HEALTH_PORT=8001
USER 10001:10001
# Where a parlor.toml is looked for.
WORKDIR /etc/parlor
VOLUME /var/lib/parlor
EXPOSE 8000
STOPSIGNAL SIGTERM
# Alive, not ready: with Redis away, history is still read, and starting Parlor again would not help. Clients cannot take
# the connections of this port.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PARLOR_CONNECTIONS__HEALTH_PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["tini", "--", "parlor"]
CMD ["up"]
