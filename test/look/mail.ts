import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { safeHtml } from '#commands/safe-html.ts';
import { readMail } from '#plugins/email/mime.ts';
import type { Browser, Page } from 'playwright-core';
import { unsafePage, xssPage } from '../support/xss-page.ts';
import type { Look } from './form.ts';

/** A mail of the corpus whose HTML has structure to lose. */
const MAIL = join(import.meta.dirname, '../../plugins/email/test/corpus/html/table.mail');
/** Long enough for a script that waits for a picture or a frame. */
const SETTLE_MS = 1_000;

/** The HTML of mails as agents meet it: whatever is known to smuggle a script, before and after it is made harmless, and an ordinary mail. */
export async function lookAtMail(browser: Browser, look: Look): Promise<void> {
  look.see('the vectors as they came do run: this would be noticed', (await ran(browser, look, unsafePage(), 'vectors-as-they-came')).ran > 0, true);
  const safe = await ran(browser, look, xssPage(), 'vectors');
  look.see('of the vectors made harmless none runs, and nothing is asked for elsewhere', safe, { ran: 0, asked: [] });
  const remote = await ran(browser, look, xssPage({ remote: true }), 'vectors-with-remote-pictures');
  look.see('with the pictures from elsewhere none runs either, and only pictures are asked for', [remote.ran, [...new Set(remote.asked)]], [0, ['image']]);
  const sample = readFileSync(MAIL);
  const { email } = await readMail(sample.subarray(sample.indexOf('----\n') + 5));
  const shown = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A mail</title><script>window.__xss = [];</script></head><body>${safeHtml(email.html ?? '')}</body></html>`;
  look.see('an HTML mail is shown, and nothing of it runs', await ran(browser, look, shown, 'mail'), { ran: 0, asked: [] });
}

/** Opens it; how much ran, and what kinds of things it asked other sites for. Nothing gets out. */
async function ran(browser: Browser, look: Look, html: string, name: string): Promise<{ readonly ran: number; readonly asked: readonly string[] }> {
  const page = await browser.newPage({ viewport: { width: 1000, height: 900 } });
  const asked: string[] = [];
  await page.route(/./, (route) => {
    if (route.request().url() === PLACE) return route.fulfill({ contentType: 'text/html; charset=utf-8', body: html });
    // Of a picture inside the mail: no other site is asked.
    if (!route.request().url().startsWith('cid:')) asked.push(route.request().resourceType());
    return route.abort();
  });
  page.on('dialog', (dialog) => void dialog.dismiss());
  await page.goto(PLACE);
  await page.waitForTimeout(SETTLE_MS);
  const count = await countRan(page);
  await look.shot(page, name);
  await page.close();
  return { ran: count, asked };
}

/** A name that is nobody's: the page stands there as on a site of its own. */
const PLACE = 'https://look.invalid/';

function countRan(page: Page): Promise<number> {
  return page.evaluate(() => {
    const found: unknown = Reflect.get(window, '__xss');
    return Array.isArray(found) ? found.length : -1;
  });
}
