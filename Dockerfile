# The image: Node.js, 4.4 MB of JavaScript (of which the forwarder loads 0.80), and a mkfifo of 18 KB. No shell, no npm,
# no node_modules.
#
#   docker build -t falco-nats --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" \
#     --build-arg CREATED="$(git log -1 --format=%cI)" .
#   falco … | docker run -i --read-only falco-nats -f - -s nats://…
#
# The same commit puts the same files on the base. For the same layers, their times have to be the same as
# well: SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" docker buildx build --output type=image,rewrite-timestamp=true …
# The base is not pinned by its digest, so that a rebuild has its security updates.

# JavaScript is the same for every platform: it is made on the builder's own.
FROM --platform=$BUILDPLATFORM docker.io/library/node:26-trixie-slim AS bundle
WORKDIR /build
COPY package.json package-lock.json ./
# Without the packages' scripts: they would only fetch the Node.js versions that tests use.
RUN npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
# tsconfig.json is an input of esbuild: with it, this is to the byte the bundle that the tests had.
COPY tsconfig.json ./
COPY deploy/bundle.ts deploy/
COPY src src
RUN npm run build && cp -r dist /falco-nats && rm -r /falco-nats/compiled && \
    install -d -o 65532 /falco-nats/compiled
# V8 starts from compiled code where its version, the user and the path are the same; otherwise without.
USER 65532:65532
RUN node /falco-nats/falco-nats.js --version

# Node.js cannot make a named pipe and the base has no mkfifo. Sixteen lines of C are static and small;
# busybox would be one line here, but 2 MB, and a shell for whoever breaks in.
FROM docker.io/library/debian:trixie-slim AS mkfifo
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev musl-tools
COPY deploy/image/mkfifo.c .
RUN musl-gcc -static -Os -s -Wall -Werror -o /mkfifo mkfifo.c

FROM gcr.io/distroless/nodejs26-debian13
ARG VERSION=0.0.0 REVISION=unknown CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="falco-nats" \
      org.opencontainers.image.description="Forwards Falco's alerts from a named pipe or standard input to NATS" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
COPY LICENSE /
COPY --from=mkfifo /mkfifo /usr/bin/mkfifo
COPY --from=bundle /falco-nats /falco-nats
# The base's `nonroot`, as a number, so that Kubernetes can check runAsNonRoot.
USER 65532:65532
ENTRYPOINT ["/nodejs/bin/node", "/falco-nats/falco-nats.js"]
