#!/usr/bin/env bash
# Writes requirements.txt and its sisters (Parquet, development, measuring) from their .in files, pinned and hashed, naming no
# registry.
set -euo pipefail
cd "$(dirname "$0")/.."
for name in requirements requirements-parquet requirements-dev requirements-bench; do
    .venv/bin/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe \
        --no-emit-index-url --no-emit-find-links --no-emit-options --output-file "$name.txt" "$name.in"
done
