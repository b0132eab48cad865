# docker build -t waymark . && docker run -p 8080:8080 -v waymark:/var/lib/waymark waymark
#
# Without WAYMARK_DATABASE_URL the container runs its own PostgreSQL under /var/lib/waymark.

FROM debian:12-slim AS build
WORKDIR /src
# A layer of their own: only a change of the list installs packages again.
COPY dev ./
COPY deps/packages.txt deps/
RUN ./dev packages build
COPY . .
RUN ./dev build

FROM debian:12-slim
COPY --from=build /src/dev /src/deps/packages.txt /tmp/setup/
RUN mkdir /tmp/setup/deps && mv /tmp/setup/packages.txt /tmp/setup/deps/ \
 && /tmp/setup/dev packages run image \
 && rm -rf /tmp/setup /var/lib/apt/lists/* \
 && useradd --system --user-group --uid 900 --home-dir /var/lib/waymark --create-home waymark
COPY --from=build /src/build/waymark /usr/local/bin/waymark
ENV WAYMARK_DATA_DIR=/var/lib/waymark \
    WAYMARK_HTTP_LISTEN=0.0.0.0:8080
# PostgreSQL refuses to run as root, and nothing else here needs it.
USER waymark
WORKDIR /var/lib/waymark
VOLUME /var/lib/waymark
EXPOSE 8080
ENTRYPOINT ["waymark"]
CMD ["serve"]
