#!/usr/bin/env bash
# node-oidc-provider: bench/peers/oidc-provider.sh PORT. Says what to ask, then waits for its input to end.
set -euo pipefail
port=$1
command -v node >/dev/null && command -v npm >/dev/null || { echo "node is not installed" >&2; exit 0; }
cache=${FREEHOLD_CACHE:-$HOME/.cache/freehold}/peers/oidc-provider
if [ ! -d "$cache/node_modules/oidc-provider" ]; then
  mkdir -p "$cache"
  npm install --silent --no-audit --no-fund --prefix "$cache" oidc-provider@9.13.3 >&2
fi
cat >"$cache/serve.mjs" <<'EOF'
import Provider from 'oidc-provider';
import { generateKeyPairSync } from 'node:crypto';
const port = process.argv[2];
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwk = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256' };
const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, {
  clients: [{ client_id: 'bench', client_secret: 'secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
    id_token_signed_response_alg: 'ES256' }],
  jwks: { keys: [jwk] },
  features: {
    clientCredentials: { enabled: true }, introspection: { enabled: true }, devInteractions: { enabled: false },
    resourceIndicators: { enabled: true, defaultResource: () => `${issuer}/api`,
      getResourceServerInfo: () => ({ scope: 'read', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }) },
  },
});
provider.listen(port, '127.0.0.1');
EOF
NODE_ENV=production node "$cache/serve.mjs" "$port" >/dev/null 2>&1 &
asked=$!
trap 'kill $asked 2>/dev/null; wait' EXIT
until curl -fs -o /dev/null "http://127.0.0.1:$port/.well-known/openid-configuration"; do sleep 0.1; done
basic=$(printf 'bench:secret' | base64)
printf '{"process":%s,"what":"client-credentials token, ES256","path":"/token","body":"grant_type=client_credentials","headers":["Authorization: Basic %s","Content-Type: application/x-www-form-urlencoded"]}\n' "$asked" "$basic"
echo ready
cat >/dev/null
