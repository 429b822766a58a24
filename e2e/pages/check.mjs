// Opens pages in Chromium, wide and narrow, light and dark: axe-core must find nothing, nothing may be wider than the
// screen, no page may need a script or be refused a style by its own policy, and none may weigh more than it is allowed,
// with all that it loads. Reads { "pages": [{ "url", "name", "cookie"?, "form"?, "status"?, "bytes" }] }; a page with a form
// is the answer to it. Prints what it found.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const asked = JSON.parse(readFileSync(0, "utf8"));
// A folder for pictures of all that is looked at.
const shots = process.env.FREEHOLD_TEST_SHOTS;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});
const found = [];
const weights = {};
let looked = 0;

async function look({ url, name, cookie, form, bytes, status = 200 }, colorScheme, width) {
  const where = `${name} ${width} ${colorScheme}`;
  const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 } });
  const [key, value] = cookie ? cookie.split("=") : [];
  if (cookie) await context.addCookies([{ name: key, value, url }]);
  const page = await context.newPage();
  const loaded = [];
  const expected = `Failed to load resource: the server responded with a status of ${status}`;
  page.on("console", (it) => it.type() === "error" && !it.text().startsWith(expected) && found.push(`${where}: ${it.text()}`));
  page.on("response", (it) => loaded.push(it.body()));
  if (form) {
    const type = "application/x-www-form-urlencoded";
    const post = (route) => route.continue({ method: "POST", postData: form, headers: { ...route.request().headers(), "content-type": type } });
    await page.route(url, post, { times: 1 });
  }
  const answer = await page.goto(url);
  if (answer.status() !== status) found.push(`${where}: status ${answer.status()}`);
  if (!(await page.title()).includes(" · ")) found.push(`${where}: the title does not say whose page it is`);
  const weight = (await Promise.all(loaded)).reduce((sum, it) => sum + it.length, 0);
  weights[name] = Math.max(weights[name] ?? 0, weight);
  if (weight > bytes) found.push(`${where}: ${weight} bytes, and ${bytes} are allowed`);
  if (await page.evaluate(() => document.querySelectorAll("[style], [onclick], [onload]").length)) found.push(`${where}: has a style or a handler at an element`);
  await page.evaluate(() => document.querySelectorAll("details").forEach((it) => (it.open = true)));
  if (shots) await page.screenshot({ path: `${shots}/${name}-${width}-${colorScheme}.png`, fullPage: true });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  if (wide > 0) found.push(`${where}: ${wide} pixels too wide`);
  if (await page.evaluate(() => document.scripts.length)) found.push(`${where}: has a script`);
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
  );
  for (const it of violations) found.push(`${where}: ${it.id}: ${it.help}: ${it.nodes[0].html}`);
  looked += 1;
  await context.close();
}

const ways = ["light", "dark"].flatMap((scheme) => [1280, 360].map((width) => [scheme, width]));
for (const page of asked.pages) await Promise.all(ways.map(([scheme, width]) => look(page, scheme, width)));
await browser.close();
console.log(JSON.stringify({ looked, found, weights }));
