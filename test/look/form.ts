import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { serve } from '@hono/node-server';
import plugin from '@trunkline/plugin-form';
import type { PageContext, RawDelivery } from '@trunkline/channel-sdk';
import type { Browser, Frame, Page } from 'playwright-core';

export interface Look {
  /** Keeps a picture of the page. */
  shot(page: Page, name: string): Promise<void>;
  see(what: string, found: unknown, wanted: unknown): void;
}

const KEY = 'look-7k3q9x';
const SETTINGS = {
  title: 'Contact Acme',
  intro: 'Tell us what happened.\nWe answer within one working day.',
  senderName: 'person',
  accent: '#0f766e',
  fields: [
    { kind: 'text', name: 'person', label: 'Your name' },
    { kind: 'email', name: 'email', label: 'Your email address', required: true, help: 'Only to answer you.' },
    { kind: 'phone', name: 'phone', label: 'Phone' },
    { kind: 'choice', name: 'topic', label: 'What is it about?', required: true, options: ['An order', 'A return', 'Something else'] },
    { kind: 'choice', name: 'country', label: 'Country', options: ['Austria', 'France', 'Germany', 'Italy', 'Spain', 'Sweden', 'Switzerland'] },
    { kind: 'number', name: 'count', label: 'How many lamps?', min: 1, max: 99 },
    { kind: 'date', name: 'bought', label: 'Bought on' },
    { kind: 'text', name: 'name', label: 'Subject', required: true },
    { kind: 'area', name: 'description', label: 'What happened?', required: true },
    { kind: 'file', name: 'photos', label: 'Photos', multiple: true, accept: ['image/*'] },
    { kind: 'checkbox', name: 'consent', label: 'I agree that Acme keeps what I send to answer me', required: true },
    { kind: 'text', name: 'campaign', label: 'Campaign', hidden: true },
  ],
};

/** The form as visitors meet it: by keyboard, on a phone, without a script, in the dark, in another site's page, in a page that may not. */
export async function lookAtForm(browser: Browser, look: Look): Promise<void> {
  const delivered: RawDelivery[] = [];
  const site = await listen((_request, response) => response.end(embedding(formUrl)));
  const stranger = await listen((_request, response) => response.end(`<iframe src="${formUrl}"></iframe>`));
  const forms = await serveForm(site.url, delivered);
  const formUrl = `${forms.url}/pages/${plugin.key}/${KEY}/`;
  try {
    await byKeyboard(browser, look, formUrl, delivered);
    await onPhone(browser, look, formUrl);
    await withoutScript(browser, look, formUrl, delivered);
    await inTheDark(browser, look, formUrl);
    await embedded(browser, look, site.url, delivered);
    await embeddedByStranger(browser, look, stranger.url);
  } finally {
    for (const { server } of [site, stranger, forms]) server.close();
  }
}

/** Long enough for a person to have filled it in. */
const READING_MS = 2_100;

async function byKeyboard(browser: Browser, look: Look, url: string, delivered: RawDelivery[]): Promise<void> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await page.goto(url);
  await look.shot(page, 'desktop');
  await page.focus('button');
  await page.keyboard.press('Enter');
  look.see('an empty form is not sent, and the focus is on what is wrong', await focused(page), 'errors');
  await look.shot(page, 'desktop-errors');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  look.see('an error leads to its field', await page.evaluate(() => document.activeElement?.getAttribute('name')), 'email');
  await page.keyboard.type('ada@example.com');
  for (const key of ['Tab', 'Tab', 'Space']) await page.keyboard.press(key);
  look.see('a choice is made by keyboard', await page.locator('input[name=topic]:checked').getAttribute('value'), 'An order');
  await fill(page);
  await page.setInputFiles('[name=photos]', [{ name: 'lamp.png', mimeType: 'image/png', buffer: Buffer.from('a picture') }]);
  await page.waitForTimeout(READING_MS);
  await page.focus('button');
  await page.keyboard.press('Enter');
  await page.waitForURL(/thanks/);
  await look.shot(page, 'desktop-thanks');
  look.see('it was taken in with its file', delivered.length === 1 && Buffer.from(delivered[0]?.body ?? []).includes('a picture'), true);
  await page.goBack();
  look.see('going back finds what was typed', await page.inputValue('[name=name]'), 'The lamp');
  await page.close();
}

async function onPhone(browser: Browser, look: Look, url: string): Promise<void> {
  const page = await browser.newPage({ viewport: { width: 375, height: 700 }, isMobile: true, deviceScaleFactor: 2 });
  await page.goto(url);
  await look.shot(page, 'phone');
  look.see('it is no wider than a phone', await page.evaluate(() => document.documentElement.scrollWidth), 375);
  await page.tap('button').catch(() => page.click('button'));
  await look.shot(page, 'phone-errors');
  const small = await page.evaluate(
    () =>
      [...document.querySelectorAll('button, input:not([type=hidden], .trap input), select')].filter((one) => one.getBoundingClientRect().height < 22).length,
  );
  look.see('nothing is too small for a finger', small, 0);
  await page.close();
}

async function withoutScript(browser: Browser, look: Look, url: string, delivered: RawDelivery[]): Promise<void> {
  const before = delivered.length;
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(url);
  await page.fill('[name=email]', 'ada@example.com');
  await page.check('input[name=topic] >> nth=1');
  await page.fill('[name=phone]', 'not a number');
  await fill(page);
  await page.waitForTimeout(READING_MS);
  await page.click('button');
  look.see('without a script the server says what is wrong', await page.locator('#errors a').allTextContents(), [
    'Phone: Enter a phone number like +49 30 123456.',
  ]);
  look.see('and what was typed is there', await page.inputValue('[name=description]'), 'It broke.\nTwice.');
  await look.shot(page, 'no-script-errors');
  await page.fill('[name=phone]', '');
  await page.waitForTimeout(READING_MS);
  await page.click('button');
  await page.waitForURL(/thanks/);
  look.see('mended it is taken in', delivered.length - before, 1);
  await context.close();
}

async function inTheDark(browser: Browser, look: Look, url: string): Promise<void> {
  const page = await browser.newPage({ colorScheme: 'dark' });
  await page.goto(url);
  await page.click('button');
  await look.shot(page, 'dark');
  const [red = 255] = (await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)).match(/\d+/g)?.map(Number) ?? [];
  look.see('it is dark where the visitor wants it dark', red < 60, true);
  await page.close();
}

async function embedded(browser: Browser, look: Look, url: string, delivered: RawDelivery[]): Promise<void> {
  const before = delivered.length;
  const page = await browser.newPage({ viewport: { width: 900, height: 900 } });
  const said: string[] = [];
  page.on('console', (message) => void said.push(message.text()));
  await page.goto(url);
  const frame = await formFrame(page);
  const height = (): Promise<number> => page.locator('iframe').evaluate((one) => one.getBoundingClientRect().height);
  await frame.waitForFunction(() => document.body.getBoundingClientRect().height > 600);
  await page.waitForFunction(() => (document.querySelector('iframe')?.getBoundingClientRect().height ?? 0) > 600);
  const open = await height();
  look.see('the snippet fills a field in', await frame.inputValue('[name=campaign]'), 'spring');
  await look.shot(page, 'embedded');
  await frame.click('button');
  await page.waitForFunction((was) => (document.querySelector('iframe')?.getBoundingClientRect().height ?? 0) > was, open);
  look.see('the frame grows with the errors, which have the focus', await focused(frame), 'errors');
  await frame.fill('[name=email]', 'ada@example.com');
  await frame.check('input[name=topic] >> nth=0');
  await fill(frame);
  await page.waitForTimeout(READING_MS);
  await frame.click('button');
  await frame.waitForURL(/thanks/);
  await page.waitForFunction(() => (document.querySelector('iframe')?.getBoundingClientRect().height ?? 999) < 300);
  await look.shot(page, 'embedded-thanks');
  look.see('it is taken in, and nothing is said in the console', [delivered.length - before, said], [1, []]);
  await page.close();
}

async function embeddedByStranger(browser: Browser, look: Look, url: string): Promise<void> {
  const page = await browser.newPage();
  const refused = page.waitForEvent('console', (message) => message.text().includes('frame-ancestors'));
  await page.goto(url);
  look.see('a site that is not named may not frame it', (await refused).type(), 'error');
  await page.close();
}

async function fill(page: Page | Frame): Promise<void> {
  await page.fill('[name=name]', 'The lamp');
  await page.fill('[name=description]', 'It broke.\nTwice.');
  await page.check('[name=consent]');
}

function focused(page: Page | Frame): Promise<string | undefined> {
  return page.evaluate(() => document.activeElement?.id);
}

async function formFrame(page: Page): Promise<Frame> {
  const frame = await (await page.waitForSelector('iframe')).contentFrame();
  if (frame === null) throw new Error('the snippet made no frame');
  return frame;
}

function embedding(formUrl: string): string {
  const snippet = `<script src="${formUrl}embed.js" async data-title="Contact Acme" data-field-campaign="spring"></script>`;
  return `<!doctype html><link rel="icon" href="data:,"><body style="background:#fffbe8"><h1>Acme lamps</h1>${snippet}<p>After the form</p></body>`;
}

/** The plugin's pages as the engine serves them, without the engine. */
async function serveForm(site: string, delivered: RawDelivery[]): Promise<Listening> {
  const settings = await plugin.settings['~standard'].validate({ ...SETTINGS, allowedOrigins: [site] });
  if (settings.issues !== undefined) throw new Error('the settings of the look are wrong');
  const { value } = settings;
  const answer = async (request: Request): Promise<Response> =>
    (await plugin.page?.(request, contextOf(new URL(request.url).origin, value, delivered))) ?? new Response(null, { status: 404 });
  return new Promise((resolve) => {
    const server = serve({ fetch: answer, hostname: '127.0.0.1', port: 0 }, ({ port }) => resolve({ url: `http://127.0.0.1:${port}`, server }));
  });
}

function contextOf(url: string, settings: unknown, delivered: RawDelivery[]): PageContext<unknown> {
  return {
    channel: { key: KEY, address: 'look', name: 'Look', enabled: true, settings },
    now: Date.now,
    sign: (text) => createHash('sha256').update(text).digest('hex').slice(0, 52),
    fetch,
    log: () => undefined,
    signal: new AbortController().signal,
    pageUrl: `${url}/pages/${plugin.key}/${KEY}`,
    deliver: async (raw) => void delivered.push(raw),
    history: async () => [],
    async *news() {},
    tell: () => undefined,
    transcript: async () => 'no-conversation',
    available: async () => true,
    allow: async () => true,
  };
}

interface Listening {
  readonly url: string;
  readonly server: { close(): unknown };
}

async function listen(handler: Parameters<typeof createServer>[1]): Promise<Listening> {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    handler?.(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  return { url: `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`, server };
}
