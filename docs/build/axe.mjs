// Hold pages against axe-core in Chromium, on a wide and a narrow screen: serious faults, errors on the console, requests.
//
//   npm install --no-save axe-core puppeteer-core
//   node docs/build/axe.mjs [--shots FOLDER] report.html site/index.html
//
// It needs a Chromium (CHROMIUM names another than /usr/bin/chromium), and ends with 1 where something is wrong.
import { existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.cwd(), "node_modules", "x.js"));
const puppeteer = require("puppeteer-core");
const AXE = require.resolve("axe-core/axe.min.js");
const WIDTHS = [1280, 390];
const WRONG = ["serious", "critical"];

let given = process.argv.slice(2);
let shots = null;
if (given[0] === "--shots") {
  shots = resolve(given[1]);
  mkdirSync(shots, { recursive: true });
  given = given.slice(2);
}
const missing = given.filter((page) => !existsSync(page));
if (!given.length || missing.length) {
  console.error(`no such page: ${missing.join(", ") || "name one"}`);
  process.exit(2);
}

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"],
  protocolTimeout: 600_000,
});
let faults = 0;
function wrong(where, text) {
  faults += 1;
  console.log(`${where}: ${text}`);
}
for (const [number, path] of given.entries()) {
  for (const width of WIDTHS) {
    const where = `${path} at ${width}`;
    const page = await browser.newPage();
    await page.setViewport({ width, height: 900 });
    page.on("console", (message) => message.type() === "error" && wrong(where, `console: ${message.text()}`));
    page.on("requestfailed", (request) => wrong(where, `not found: ${request.url()}`));
    page.on("pageerror", (error) => wrong(where, `error: ${error.message}`));
    page.on("request", (request) => /^(file|data|blob):/.test(request.url()) || wrong(where, `request: ${request.url()}`));
    await page.goto(pathToFileURL(resolve(path)).href, { waitUntil: "load", timeout: 300_000 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (wide > 1) wrong(where, `the page is ${wide} px wider than the screen`);
    if (shots) await page.screenshot({ path: join(shots, `${number}-${width}.png`), fullPage: true });
    await page.addScriptTag({ path: AXE });
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    for (const one of violations) {
      const text = `${one.impact}: ${one.id}: ${one.help} (${one.nodes.length}), first ${one.nodes[0].html.slice(0, 160)}`;
      if (WRONG.includes(one.impact)) wrong(where, text);
      else console.log(`${where}: not serious: ${text}`);
    }
    if (shots && width === WIDTHS[0]) await page.pdf({ path: join(shots, `${number}.pdf`), format: "A4" });
    await page.close();
  }
}
await browser.close();
console.log(`${faults} faults in ${given.length} pages`);
process.exit(faults ? 1 : 0);
