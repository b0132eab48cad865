#!/usr/bin/env bash
# The manifests (check.py). Exit status 77: skipped, there is no Python with PyYAML.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Debian's own Python has Debian's modules, whatever else PATH has.
for python in python3 /usr/bin/python3; do
    if "$python" -c 'import yaml' 2>/dev/null; then exec "$python" "$here/check.py"; fi
done
echo "no python3 with yaml is installed"
exit 77
