// Signs a person in by authorization code with PKCE, with a client library that others wrote, through the hosted pages; and
// does all else that such a library does. Prints what came of it as one line of JSON.
// node sign_in.mjs ISSUER CLIENT_ID EMAIL PASSWORD [CONFIDENTIAL_ID SECRET]
import dns from "node:dns";
import * as client from "openid-client";

// Not every resolver knows that *.localhost is this machine (RFC 6761, section 6.3).
const lookup = dns.lookup;
dns.lookup = (host, options, done) =>
  host.endsWith(".localhost") ? lookup("127.0.0.1", options, done) : lookup(host, options, done);

const [issuer, clientId, email, password, confidentialId, secret] = process.argv.slice(2);
const callback = "http://127.0.0.1:9/callback";
const insecure = { execute: [client.allowInsecureRequests] };

// A browser, as far as these pages need one.
let cookie = "";
async function browse(url, form) {
  const body = form && new URLSearchParams(form);
  const headers = form ? { cookie, origin: issuer } : { cookie };
  const answer = await fetch(url, { method: form ? "POST" : "GET", redirect: "manual", body, headers });
  cookie = answer.headers.get("set-cookie")?.split(";")[0] ?? cookie;
  return answer;
}

const plain = (text) => text.replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(code)).replaceAll("&amp;", "&");

// From the program's request to its callback; the pages that a person saw on the way.
async function walk(url, answer = "allow") {
  const seen = [];
  for (let step = 0; step < 8 && !url.href.startsWith(callback); step++) {
    let page = await browse(url);
    if (url.pathname === "/sign-in") {
      page = await browse(new URL("/sign-in", issuer), { email, password, return_to: url.searchParams.get("return_to") ?? "/" });
      seen.push("sign-in");
    } else if (page.status === 200) {
      const html = await page.text();
      const hidden = [...html.matchAll(/type="hidden" name="([^"]*)" value="([^"]*)"/g)].map((it) => [it[1], plain(it[2])]);
      page = await browse(new URL("/oauth/authorize", issuer), [...hidden, ["answer", answer]]);
      seen.push("consent");
    }
    const location = page.headers.get("location");
    if (!location) throw new Error(`${url} answered ${page.status}: ${await page.text()}`);
    url = new URL(location, url);
  }
  return { url, seen };
}

async function signIn(config, scope, more = {}) {
  const verifier = client.randomPKCECodeVerifier();
  const challenge = await client.calculatePKCECodeChallenge(verifier);
  const [state, nonce] = [client.randomState(), client.randomNonce()];
  const asked = { redirect_uri: callback, scope, code_challenge: challenge, code_challenge_method: "S256", state, nonce, ...more };
  const { url, seen } = await walk(client.buildAuthorizationUrl(config, asked));
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
  const redeem = () => client.authorizationCodeGrant(config, url, checks);
  return { tokens: await redeem(), redeem, seen };
}

async function outcome(attempt) {
  try {
    await attempt();
    return "accepted";
  } catch (error) {
    return error.error ?? error.status ?? String(error);
  }
}

const config = await client.discovery(new URL(issuer), clientId, undefined, client.None(), insecure);
const first = await signIn(config, "openid email profile");
const claims = first.tokens.claims();
const told = await client.fetchUserInfo(config, first.tokens.access_token, claims.sub);
const fresh = await client.refreshTokenGrant(config, first.tokens.refresh_token);
// The answer was lost: the same again.
const repeated = await client.refreshTokenGrant(config, first.tokens.refresh_token);
const same = repeated.refresh_token === fresh.refresh_token && repeated.access_token === fresh.access_token;
const second = await signIn(config, "openid");
const little = await client.fetchUserInfo(config, second.tokens.access_token, claims.sub);
const none = await outcome(() => signIn(config, "openid", { prompt: "none" }));
const again = await outcome(first.redeem);

let program;
if (secret) {
  const own = await client.discovery(new URL(issuer), confidentialId, { client_secret: secret, id_token_signed_response_alg: "RS256" }, client.ClientSecretBasic(secret), insecure);
  const posted = await client.discovery(new URL(issuer), confidentialId, secret, client.ClientSecretPost(secret), insecure);
  const wrong = await client.discovery(new URL(issuer), confidentialId, secret, client.ClientSecretBasic("wrong"), insecure);
  const itself = await client.clientCredentialsGrant(own);
  const narrow = await client.clientCredentialsGrant(posted, { scope: "users.profile.read" });
  const signed = await signIn(own, "openid email offline_access users.profile.read");
  const about = await client.tokenIntrospection(own, signed.tokens.access_token);
  const foreign = await client.tokenIntrospection(own, second.tokens.access_token);
  const aboutItself = await client.tokenIntrospection(posted, itself.access_token);
  const refreshed = await client.refreshTokenGrant(own, signed.tokens.refresh_token);
  const later = await client.refreshTokenGrant(own, refreshed.refresh_token);
  const stolen = await outcome(() => client.refreshTokenGrant(own, signed.tokens.refresh_token));
  const ended = await client.tokenIntrospection(own, later.access_token);
  const revocable = await signIn(own, "openid");
  await client.tokenRevocation(own, revocable.tokens.access_token);
  const revoked = await client.tokenIntrospection(own, revocable.tokens.access_token);
  const leaving = await signIn(own, "openid");
  const out = client.buildEndSessionUrl(own, { id_token_hint: leaving.tokens.id_token, post_logout_redirect_uri: "http://127.0.0.1:9/bye", state: "s1" });
  const left = (await browse(out)).headers.get("location");
  program = {
    access: itself.access_token, scope: itself.scope, narrow: narrow.scope, seen: signed.seen, about, foreign, aboutItself, stolen, ended,
    revoked, left, alg: JSON.parse(atob(signed.tokens.id_token.split(".")[0])).alg,
    refused: await outcome(() => client.clientCredentialsGrant(wrong)),
    ended_with_session: await outcome(() => client.refreshTokenGrant(own, leaving.tokens.refresh_token)),
  };
}
console.log(JSON.stringify({ claims, told, little, same, none, seen: [first.seen, second.seen], access: fresh.access_token, again, program }));
