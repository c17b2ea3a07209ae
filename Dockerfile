# One static binary, and nothing beside it: no shell, no libraries, no files.
#
#   docker build -t keyweir .                       builds the binary too, in the builder image
#   docker build --target prebuilt -t keyweir .     around dist/<arch>/keyweir as `make image` leaves
#                                                   it; no other image is pulled
#
# Several architectures at once: docker buildx build --platform linux/amd64,linux/arm64 …

ARG BUILDER=docker.io/library/rust:1.95-alpine

FROM scratch AS base
# Huge pages would cost more memory than the proxy itself (the allocator's own switch).
ENV MIMALLOC_ALLOW_THP=0
USER 65532:65532
EXPOSE 4470 4471
ENTRYPOINT ["/keyweir"]
CMD ["proxy"]

FROM base AS prebuilt
ARG TARGETARCH
COPY dist/${TARGETARCH}/keyweir /keyweir

FROM ${BUILDER} AS builder
WORKDIR /src
COPY . .
RUN target="$(uname -m)-unknown-linux-musl" \
 && cargo build --locked --profile image --target "$target" --bin keyweir \
 && cp "target/$target/image/keyweir" /keyweir

FROM base
COPY --from=builder /keyweir /keyweir
