// Evaluates features of every type with the client of OpenFeature and its OFREP provider, which others wrote.
// node evaluate.mjs ORIGIN TOKEN ; prints what came of it as one line of JSON.
import dns from "node:dns";
import { OpenFeature } from "@openfeature/server-sdk";
import { OFREPProvider } from "@openfeature/ofrep-provider";

// Not every resolver knows that *.localhost is this machine (RFC 6761, section 6.3).
const lookup = dns.lookup;
dns.lookup = (host, options, done) =>
  host.endsWith(".localhost") ? lookup("127.0.0.1", options, done) : lookup(host, options, done);

const [origin, token] = process.argv.slice(2);
const provider = new OFREPProvider({ baseUrl: origin, headers: [["Authorization", `Bearer ${token}`]] });
await OpenFeature.setProviderAndWait(provider);
const client = OpenFeature.getClient();
const ada = { targetingKey: "ada", role: "admin", version: "2.3.0" };

console.log(JSON.stringify({
  boolean: await client.getBooleanDetails("search", false, ada),
  text: await client.getStringDetails("colour", "none", ada),
  number: await client.getNumberDetails("projects", -1, ada),
  object: await client.getObjectDetails("layout", {}, ada),
  nobody: await client.getBooleanDetails("rollout", false, {}),
  unknown: await client.getBooleanDetails("missing", true, ada),
  mistyped: await client.getStringDetails("search", "none", ada),
}));
