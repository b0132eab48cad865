# docker build -t waymark . && docker run -p 8080:8080 -v waymark:/var/lib/waymark waymark
#
# Without WAYMARK_DATABASE_URL(_FILE) the container runs its own PostgreSQL under /var/lib/waymark; see compose.yaml.
# packaging/README.md tells what is in the image. Every RUN and COPY is tried by packaging/docker_test.sh.

FROM debian:12-slim AS build
WORKDIR /src
# A layer of their own: only a change of the list installs packages again.
COPY dev ./
COPY deps/packages.txt deps/
RUN ./dev packages build
COPY . .
RUN ./dev build && DESTDIR=/out cmake --install build --strip --prefix /usr \
 && rm -r /out/usr/lib /out/usr/share/zsh /out/usr/share/fish /out/usr/share/bash-completion /out/usr/share/man

FROM debian:12-slim
# With "image" alone, and WAYMARK_DATABASE_URL: an image without the server, a third of the size.
ARG PACKAGES="run image"
COPY --from=build /src/dev /tmp/setup/
COPY --from=build /src/deps/packages.txt /tmp/setup/deps/
RUN /tmp/setup/dev packages $PACKAGES \
 && rm -rf /tmp/setup /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log /usr/lib/llvm-* \
    /usr/lib/*-linux-gnu/libLLVM-* /usr/lib/postgresql/*/lib/bitcode /usr/lib/postgresql/*/lib/llvmjit* \
 && useradd --system --user-group --uid 900 --home-dir /var/lib/waymark --create-home --shell /usr/sbin/nologin waymark \
 && chmod 700 /var/lib/waymark
COPY --from=build /out/ /
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Waymark" \
      org.opencontainers.image.description="Trail coverage from your activities, in your own PostgreSQL" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
ENV WAYMARK_DATA_DIR=/var/lib/waymark
# PostgreSQL refuses to run as root, and nothing else here needs it. A number: Kubernetes checks that it is not 0.
USER 900:900
WORKDIR /var/lib/waymark
VOLUME /var/lib/waymark
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["waymark", "health"]
ENTRYPOINT ["waymark"]
CMD ["serve"]
