// Opens pages in Chromium, wide and narrow, light and dark: axe-core must find nothing, nothing may be wider than the
// screen, and no page may need a script. Reads { "pages": [{ "url", "name", "cookie"? }], "shots"? } and prints what it found.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const asked = JSON.parse(readFileSync(0, "utf8"));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});
const found = [];
let looked = 0;
for (const scheme of ["light", "dark"]) {
  for (const width of [1280, 360]) {
    for (const { url, name, cookie } of asked.pages) {
      const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: 900 } });
      if (cookie) await context.setExtraHTTPHeaders({ cookie });
      const page = await context.newPage();
      const where = `${name} ${width} ${scheme}`;
      const answer = await page.goto(url);
      if (answer.status() !== 200) found.push(`${where}: status ${answer.status()}`);
      await page.evaluate(() => document.querySelectorAll("details").forEach((it) => (it.open = true)));
      if (asked.shots) await page.screenshot({ path: `${asked.shots}/${name}-${width}-${scheme}.png`, fullPage: true });
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
  }
}
await browser.close();
console.log(JSON.stringify({ looked, found }));
