// What passes and what fails, and pages that are watched for what must not happen on them.
import { chromium } from 'playwright-core';

export let passed = 0;
export let failed = 0;

export async function check(name, fn) {
  try {
    await fn();
    passed += 1;
  } catch (error) {
    failed += 1;
    console.log(`  FAILED ${name}: ${String(error.message ?? error).split('\n').slice(0, 12).join('\n    ')}`);
  }
}

export function same(got, want, what) {
  if (got !== want) {
    throw new Error(`${what}: ${JSON.stringify(got)} instead of ${JSON.stringify(want)}`);
  }
}

export function holds(condition, what) {
  if (!condition) {
    throw new Error(what);
  }
}

let browser = null;

export async function openBrowser() {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: process.getuid() === 0 ? ['--no-sandbox'] : [],
  });
  return browser.version();
}

export async function closeBrowser() {
  await browser?.close();
}

export const looks = [
  { name: 'wide-light', viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
  { name: 'wide-dark', viewport: { width: 1280, height: 800 }, colorScheme: 'dark' },
  { name: 'phone-light', viewport: { width: 390, height: 844 }, colorScheme: 'light' },
  { name: 'phone-dark', viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
];

// A page whose complaints are collected: errors of scripts, of the console (the policy's too), and dialogs.
export async function openPage(look, more = {}) {
  const { name, ...rest } = look;
  const context = await browser.newContext({ ...rest, ...more });
  const page = await context.newPage();
  page.setDefaultTimeout(10000);
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(`page error: ${error.message}`));
  page.on('console', (message) => {
    // The answers that some tests ask for are no complaints.
    if (message.type() === 'error' && !/status of 4(01|04)|ERR_CONNECTION|ERR_INCOMPLETE_CHUNKED/.test(message.text())) {
      page.complaints.push(`console: ${message.text()}`);
    }
  });
  page.on('dialog', (dialog) => {
    page.complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  return page;
}

// Nothing was complained of since the last time, nothing of the texts has run, and nothing is wider than the window.
export async function isClean(page) {
  const said = page.complaints.splice(0);
  same(said.join('; '), '', 'complaints');
  const { hacked, wide, room } = await page.evaluate(() => ({
    hacked: window.hacked, wide: document.documentElement.scrollWidth, room: document.documentElement.clientWidth,
  }));
  same(hacked, undefined, 'a script out of a text has run');
  holds(wide <= room, `the page is ${wide} px wide where there are ${room}`);
}
