// The whole path in a real browser: sign in by a one-time link, state the maintenance goal, approve
// it in the page, see it completed, undo it, verify the log.
//
//   AIOS_SIGN_IN   what `aiosctl console open` prints (required)
//   AIOS_GOAL      the goal to state; without it a scratch tree is made, and its files are compared
//   AIOS_CHROMIUM  the browser, /usr/bin/chromium
//
// Pictures in several layouts are left in test-results/.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { contents, makeTree } from "./tree.js";

const link = process.env.AIOS_SIGN_IN ?? "";
const tree = process.env.AIOS_GOAL ? undefined : makeTree();
const goal = process.env.AIOS_GOAL ?? `free space under ${tree}: delete *.log older than 7 days, keep the newest 3`;
const pictures = "test-results";
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const patience = 120_000;

let browser;
let page;
const complaints = [];

before(async () => {
  assert.match(link, /^http:\/\/.+\/signin#.+/, "AIOS_SIGN_IN must hold a link from `aiosctl console open`");
  browser = await chromium.launch({
    executablePath: process.env.AIOS_CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  // Without motion the page takes on another scheme's colours at once.
  page = await browser.newPage({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce" });
  page.setDefaultTimeout(patience);
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
});

after(async () => {
  await browser?.close();
  if (tree) rmSync(tree, { recursive: true });
});

async function picture(name) {
  mkdirSync(pictures, { recursive: true });
  for (const [layout, width, scheme] of [
    ["light", 1280, "light"],
    ["dark", 1280, "dark"],
    ["narrow", 390, "light"],
  ]) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme: scheme });
    await page.screenshot({ path: `${pictures}/${name}-${layout}.png`, fullPage: true });
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
}

/** Rules of WCAG 2.2 AA that a program can check, in both colour schemes. */
async function isAccessible(state) {
  await page.evaluate(axe);
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    const found = await page.evaluate(() => window.axe.run(document));
    const violations = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
    assert.deepEqual(violations, [], `${state}, ${colorScheme}`);
  }
}

async function fitsNarrow() {
  await page.setViewportSize({ width: 390, height: 844 });
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  await page.setViewportSize({ width: 1280, height: 900 });
  assert.equal(overflow, 0, "the page is wider than a 390 px screen");
}

test("a goal is stated, approved, completed and undone in the page, and the log verifies", async () => {
  await page.goto(link);
  const button = page.getByRole("button", { name: "State the goal" });
  await button.waitFor();
  assert.equal(new URL(page.url()).hash, "", "the one-time code stays in no history");
  assert.equal(await button.getAttribute("aria-disabled"), "true");
  await page.getByText("Say first what you want.").waitFor();
  await isAccessible("nothing stated");
  await picture("1-empty");

  const before = tree && contents(tree);
  await page.getByRole("textbox", { name: "What should be done?" }).fill(goal);
  await button.click();
  await page.getByRole("heading", { name: goal, level: 2 }).waitFor();
  const approve = page.getByRole("button", { name: "Approve" });
  await approve.waitFor();
  await page.getByText("Your approval is needed").waitFor();
  await page.getByRole("list", { name: "What it touches" }).getByRole("listitem").first().waitFor();
  await isAccessible("approval asked");
  await fitsNarrow();
  await picture("2-approval");

  if (tree) assert.deepEqual(contents(tree), before, "nothing changed before a person said yes");

  await approve.click();
  const article = page.getByRole("article");
  await article.getByText("Completed", { exact: true }).waitFor();
  await article.locator(".feed-state", { hasText: "Ended" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Approve" }).count(), 0);
  if (tree) assert.deepEqual(Object.keys(contents(tree)), ["app-0.log", "app-1.log", "app-2.log", "keep.txt"]);
  await picture("3-completed");

  const done = page.url();
  await page.getByRole("button", { name: "Undo what it changed" }).click();
  await page.waitForURL((url) => url.href !== done);
  await article.getByText("Completed", { exact: true }).waitFor();
  await article.getByRole("link", { name: "Undoes an earlier goal" }).click();
  await page.getByText("It was undone already.").waitFor();
  if (tree) assert.deepEqual(contents(tree), before, "every bit is back");
  await picture("4-undone");

  await page.getByRole("button", { name: "Verify the log" }).click();
  await page.getByText("The log is whole.").waitFor();
  await page.getByText(/All \d+ services are well|need/).first().click();
  await isAccessible("log verified");
  await picture("5-verified");
});

test("the used link does not sign in a second time", async () => {
  const stranger = await browser.newContext();
  const other = await stranger.newPage();
  await other.goto(link);
  await other.getByRole("heading", { name: "Sign in to aiOS" }).waitFor();
  await other.getByRole("alert").waitFor();
  await stranger.close();
});

test("after signing out the session is gone", async () => {
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in to aiOS" }).waitFor();
  await page.goto(new URL("/", link).href);
  await page.getByRole("heading", { name: "Sign in to aiOS" }).waitFor();
  await page.getByText("aiosctl console open").waitFor();
  const scripted = complaints.filter((complaint) => !complaint.includes("401"));
  assert.deepEqual(scripted, [], "the browser complained");
});
