#!/bin/sh
# Makes the certificates beside it anew, by OpenSSL: an authority and a server, valid for 100 years. They are for the
# examples alone: everybody has the server's key.
set -eu
cd "$(dirname "$0")"
days=36500
key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
authority_key=$(mktemp)
trap 'rm -f "$authority_key"' EXIT
# shellcheck disable=SC2086
openssl req -x509 $key -keyout "$authority_key" -out authority.pem -days $days -subj "/CN=Freestone examples" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
# shellcheck disable=SC2086
openssl req -x509 $key -keyout server-key.pem -out server.pem -days $days -subj "/CN=server.example" \
    -CA authority.pem -CAkey "$authority_key" -addext basicConstraints=critical,CA:FALSE \
    -addext subjectAltName=DNS:server.example,DNS:localhost,IP:127.0.0.1,IP:10.0.2.15
