// Verifies a webhook with the library of Standard Webhooks, which others wrote.
// node verify.mjs SECRET ID TIMESTAMP SIGNATURE BODY ; prints the payload as one line of JSON, or says why not and fails.
import { Webhook } from "standardwebhooks";

const [secret, id, timestamp, signature, body] = process.argv.slice(2);
const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
console.log(JSON.stringify(new Webhook(secret).verify(body, headers)));
