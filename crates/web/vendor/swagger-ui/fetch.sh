#!/usr/bin/env bash
# Fetches Swagger UI from npm and packs what /docs serves: crates/web/vendor/swagger-ui/fetch.sh [version]. The same
# version gives the same bytes.
set -euo pipefail
version=${1:-5.35.0}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent "swagger-ui-dist@$version" >/dev/null
tar xzf swagger-ui-dist-*.tgz
for file in swagger-ui-bundle.js swagger-ui.css; do
  gzip -9 -n -c "package/$file" >"$here/$file.gz"
done
cp package/LICENSE package/NOTICE package/swagger-ui-bundle.js.LICENSE.txt "$here"
