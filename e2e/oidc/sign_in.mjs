// Signs a person in by authorization code with PKCE, with a client library that others wrote, through the hosted page.
// node sign_in.mjs ISSUER CLIENT_ID EMAIL PASSWORD ; prints what came of it as one line of JSON.
import dns from "node:dns";
import * as client from "openid-client";

// Not every resolver knows that *.localhost is this machine (RFC 6761, section 6.3).
const lookup = dns.lookup;
dns.lookup = (host, options, done) =>
  host.endsWith(".localhost") ? lookup("127.0.0.1", options, done) : lookup(host, options, done);

const [issuer, clientId, email, password] = process.argv.slice(2);
const callback = "http://127.0.0.1:9/callback";
const insecure = { execute: [client.allowInsecureRequests] };
const config = await client.discovery(new URL(issuer), clientId, undefined, client.None(), insecure);

const verifier = client.randomPKCECodeVerifier();
const challenge = await client.calculatePKCECodeChallenge(verifier);
const [state, nonce] = [client.randomState(), client.randomNonce()];
let url = client.buildAuthorizationUrl(config, {
  redirect_uri: callback, scope: "openid email profile", code_challenge: challenge, code_challenge_method: "S256", state, nonce,
});

let cookie = "";
for (let step = 0; step < 8 && !url.href.startsWith(callback); step++) {
  let answer = await fetch(url, { redirect: "manual", headers: { cookie } });
  if (url.pathname === "/sign-in") {
    const form = new URLSearchParams({ email, password, return_to: url.searchParams.get("return_to") ?? "/" });
    answer = await fetch(new URL("/sign-in", issuer), {
      method: "POST", redirect: "manual", body: form, headers: { origin: issuer },
    });
  }
  cookie = answer.headers.get("set-cookie")?.split(";")[0] ?? cookie;
  const location = answer.headers.get("location");
  if (!location) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  url = new URL(location, url);
}

const tokens = await client.authorizationCodeGrant(config, url, {
  pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true,
});
const claims = tokens.claims();
const told = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
const fresh = await client.refreshTokenGrant(config, tokens.refresh_token);
let again = "accepted";
try {
  await client.authorizationCodeGrant(config, url, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce });
} catch (error) {
  again = error.error;
}
console.log(JSON.stringify({ claims, told, access: fresh.access_token, again }));
