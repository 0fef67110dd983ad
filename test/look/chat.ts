import { createServer } from 'node:http';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { violations } from './axe.ts';
import { startChat, type ChatStandIn } from './chat-stand-in.ts';
import type { Look } from './form.ts';

const SETTINGS = {
  title: 'Acme lamps',
  greeting: 'Hello! Ask us anything about your lamp.\nWe usually answer within a few minutes.',
  accent: '#0f766e',
  awayMessage: 'We are back tomorrow from 9:00. Leave us a message, and we will answer by email.',
};
const NIGHT = { ...SETTINGS, availability: 'hours', hours: { timeZone: 'UTC', periods: [{ day: 'monday', from: '00:00', to: '00:01' }] } };
const DESKTOP = { width: 1100, height: 800 };
const PHONE = { width: 375, height: 720 };

interface Visit {
  readonly browser: Browser;
  readonly look: Look;
  readonly chat: ChatStandIn;
  readonly site: Site;
}

/** The chat as visitors meet it, on another site's page that allows only what the guide says: by mouse, by keyboard, in several tabs, on a phone, and with whatever goes wrong. */
export async function lookAtChat(browser: Browser, look: Look): Promise<void> {
  await visiting(browser, look, SETTINGS, async (visit) => {
    await byMouse(visit);
    await byKeyboard(visit);
    await inTwoTabs(visit);
    await cutOff(visit);
    await tooFast(visit);
    await forgotten(visit);
    await withoutStorage(visit);
    await onPhone(visit);
    await inTheDark(visit);
    await closed(visit);
  });
  await visiting(browser, look, NIGHT, away);
  await visiting(browser, look, { ...SETTINGS, accent: '#ffe14d', position: 'left', avatar: 'https://pictures.invalid/ada.png' }, onTheLeft);
}

async function visiting(browser: Browser, look: Look, settings: Readonly<Record<string, unknown>>, act: (visit: Visit) => Promise<void>): Promise<void> {
  const chat = await startChat(settings);
  const site = await startSite(chat);
  try {
    await act({ browser, look, chat, site });
  } finally {
    site.close();
    chat.close();
  }
}

async function byMouse({ browser, look, chat, site }: Visit): Promise<void> {
  const page = await browser.newPage({ viewport: DESKTOP });
  const said = complaints(page);
  await page.goto(`${site.url}trusted?reset=secret&ref=sale`);
  await launcher(page).waitFor();
  look.see('before it is opened only its file and its settings are asked for', chat.asked, ['GET widget.js', 'GET config']);
  look.see('the closed widget is accessible', await violations(page), []);
  await look.shot(page, 'chat-launcher');
  await launcher(page).click();
  await chat1(page, 'Ask us anything');
  await page.waitForTimeout(400);
  look.see('the open panel is accessible', await violations(page), []);
  await look.shot(page, 'chat-open');
  await say(page, 'Hello, my lamp <img src=x onerror=alert(1)> is broken.');
  await arrived(chat, 1);
  await page.getByText('is broken.').waitFor();
  look.see('writing is told', chat.typed() > 0, true);
  look.see('of the page around it only its ref is told', /sale/.test(chat.bodies.join()) && !/secret|Acme lamps|127/.test(chat.bodies.join()), true);
  chat.tell({ type: 'joined', author: 'Ada' });
  await page.getByText('Ada joined').waitFor();
  chat.tell({ type: 'typing', author: 'Ada' });
  await page.getByText('Ada is typing').waitFor();
  await look.shot(page, 'chat-typing');
  chat.reply('Oh no. <script>window.bad = 1</script> Have a look at https://example.com/repair, please.');
  await page.getByText('Have a look at').waitFor();
  look.see('whoever wrote is not typing any more', await page.locator('.dots').isVisible(), false);
  look.see(
    'a script stays a text',
    await page.evaluate(() => [
      Reflect.get(window, 'bad'),
      document.querySelector('trunkline-chat')?.shadowRoot?.querySelectorAll('script, .bubble img').length,
    ]),
    [undefined, 0],
  );
  look.see('an address is a link without its comma', await page.locator('.bubble a').getAttribute('href'), 'https://example.com/repair');
  chat.reply('Which of these is it?', {
    author: null,
    quickReplies: [
      { label: 'It flickers', choice: 'a' },
      { label: 'It does not turn on', choice: 'b' },
      { label: 'Talk to a person', choice: 'talk-to-a-person' },
    ],
  });
  await page.getByRole('button', { name: 'It flickers' }).waitFor();
  look.see('the conversation is accessible', await violations(page), []);
  await look.shot(page, 'chat-conversation');
  await page.getByRole('button', { name: 'It flickers' }).click();
  await arrived(chat, 4);
  look.see('answers are gone once one was given', await page.locator('.reply').count(), 0);
  await until(() => chat.reads.length > 0);
  look.see('what was seen is told', chat.reads.at(-1), chat.stored[2]?.at);
  await page.reload();
  await page.getByText('It flickers').waitFor();
  look.see('after a reload it is open still, with its history', await bubbles(page), [
    'Hello! Ask us anything about your lamp.\nWe usually answer within a few minutes.',
    ...chat.stored.map(({ text }) => text),
  ]);
  chat.tell({ type: 'closed' });
  await page.getByText('This conversation was closed').waitFor();
  look.see('nothing is said in the console', said, []);
  await page.getByRole('button', { name: 'Email me the transcript' }).click();
  await page.getByText('once you have given your email address').first().waitFor();
  await page.getByLabel('Your email address').fill('ada@example.com');
  await say(page, 'Here it is');
  await page.getByText('answers go to the email address you gave').waitFor();
  look.see('an address that was given is said while somebody is there too, accessibly', [await violations(page), await tooSmall(page)], [[], []]);
  await look.shot(page, 'chat-given');
  await page.close();
}

async function byKeyboard({ browser, look, chat, site }: Visit): Promise<void> {
  const page = await browser.newPage({ viewport: DESKTOP });
  const before = chat.stored.length;
  await page.goto(site.url);
  await launcher(page).waitFor();
  await page.evaluate(async (src) => {
    const again = document.createElement('script');
    again.src = src;
    document.head.append(again);
    await new Promise((resolve) => again.addEventListener('load', resolve));
  }, chat.script);
  look.see('the tag twice in a page is one widget', await page.locator('trunkline-chat').count(), 1);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  look.see('the button is reached by keyboard', await focused(page), 'Open chat');
  await page.keyboard.press('Enter');
  look.see('opening leads to where one writes', await focused(page), 'Message');
  await page.evaluate(() => addEventListener('keydown', ({ key }) => Reflect.set(window, 'keys', `${String(Reflect.get(window, 'keys'))} ${key}`)));
  await page.keyboard.type('One line');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('and another');
  await page.keyboard.press('Enter');
  await arrived(chat, before + 1);
  look.see('Enter sends, with Shift it is a new line', chat.stored.at(-1)?.text, 'One line\nand another');
  await page.keyboard.press('Escape');
  look.see('Escape closes and gives the focus back', [await focused(page), await page.locator('.panel').isVisible()], ['Open chat', false]);
  await page.waitForTimeout(500);
  chat.reply('Are you there?');
  await page.locator('.badge').waitFor();
  look.see(
    'what came meanwhile is counted, and said aloud',
    [await focused(page), await page.locator('p[role=status]').last().textContent()],
    ['Open chat, 1 unread message', 'New message from Ada'],
  );
  await look.shot(page, 'chat-unread');
  look.see('the page saw none of the keys', await page.evaluate(() => Reflect.get(window, 'keys')), undefined);
  await page.keyboard.press('Space');
  await page.locator('.badge').waitFor({ state: 'hidden' });
  await page.keyboard.press('Shift+Tab');
  look.see('the list can be scrolled by keyboard', await focused(page), 'Messages');
  await page.close();
}

async function inTwoTabs({ browser, look, chat, site }: Visit): Promise<void> {
  const context = await browser.newContext({ viewport: DESKTOP });
  const before = chat.stored.length;
  const tabs = [await opened(context, site), await opened(context, site)];
  const [one, two] = tabs;
  if (one === undefined || two === undefined) return;
  for (let count = 1; count <= 8; count += 1) await Promise.all([say(one, `left ${count}`), say(two, `right ${count}`)]);
  await arrived(chat, before + 16);
  const texts = chat.stored.slice(before).map(({ text }) => text);
  for (const side of ['left', 'right']) {
    const wanted = Array.from({ length: 8 }, (_one, at) => `${side} ${at + 1}`);
    look.see(
      `of two tabs at once nothing is twice or out of order: ${side}`,
      texts.filter((text) => text.startsWith(side)),
      wanted,
    );
  }
  chat.reply('To both of you');
  for (const tab of tabs) {
    await tab.getByText('To both of you').waitFor();
    await until(async () => (await bubbles(tab)).length === 18);
    look.see('a tab shows all of it, once', (await bubbles(tab)).slice(1).sort(), [...texts, 'To both of you'].sort());
  }
  look.see('the two are one visitor', new Set(await Promise.all(tabs.map(token))).size, 1);
  // A browser without a screen calls every tab visible.
  await hide(one, true);
  await until(() => chat.streams() === 2);
  await hide(two, true);
  await hide(one, false);
  await until(() => chat.streams() === 1);
  chat.reply('Only one of you hears this at once');
  await one.getByText('Only one of you').waitFor();
  await hide(two, false);
  await two.getByText('Only one of you').waitFor();
  look.see('in the background one tab at most stays connected, and misses nothing', [chat.streams(), (await bubbles(two)).length], [2, 19]);
  await context.close();
}

async function cutOff({ browser, look, chat, site }: Visit): Promise<void> {
  const context = await browser.newContext({ viewport: DESKTOP });
  const page = await opened(context, site);
  const before = chat.stored.length;
  await say(page, 'I am in a tunnel');
  await arrived(chat, before + 1);
  for (let count = 1; count <= 12; count += 1) {
    chat.cut(count % 2 === 0);
    chat.reply(`reply ${count}`);
    await say(page, `word ${count}`);
    if (count % 3 === 0) await until(() => chat.streams() > 0);
  }
  await arrived(chat, before + 25);
  await page.getByText('reply 12').waitFor();
  await until(async () => (await bubbles(page)).length === 26);
  const shown = (await bubbles(page)).slice(1);
  look.see(
    'through twelve cuts nothing is lost or shown twice',
    [...shown].sort(),
    chat.stored
      .slice(before)
      .map(({ text }) => text)
      .sort(),
  );
  look.see(
    'and the order is the order',
    [
      ordered(shown, 'word'),
      ordered(shown, 'reply'),
      ordered(
        chat.stored.slice(before).map(({ text }) => text),
        'word',
      ),
    ],
    [true, true, true],
  );
  await page.locator('.log').evaluate((log) => log.scrollTo(0, 0));
  await page.waitForTimeout(100);
  chat.reply('reply far below');
  await page.getByRole('button', { name: 'New messages' }).click();
  await page.getByRole('button', { name: 'New messages' }).waitFor({ state: 'hidden' });
  look.see('who reads further up is not torn away, and is told what is new below', await page.getByText('reply far below').isVisible(), true);
  await context.setOffline(true);
  await say(page, 'written without a network');
  await page.getByText('You are offline').first().waitFor();
  await look.shot(page, 'chat-offline');
  look.see('offline it is accessible', await violations(page), []);
  await page.reload().catch(() => undefined);
  await context.setOffline(false);
  await page.goto(site.url);
  await arrived(chat, before + 27);
  look.see('what was written offline goes out after the page was left', chat.stored.at(-1)?.text, 'written without a network');
  await context.close();
}

async function tooFast({ browser, look, chat, site }: Visit): Promise<void> {
  const context = await browser.newContext({ viewport: DESKTOP });
  const page = await opened(context, site);
  const before = chat.stored.length;
  chat.answer(
    'messages',
    new Response(null, { status: 429, headers: { 'retry-after': '2' } }),
    new Response(null, { status: 503, headers: { 'retry-after': '1' } }),
  );
  await say(page, 'one');
  await say(page, 'two');
  await page
    .getByText(/Too fast: the rest goes out in \d s/)
    .first()
    .waitFor();
  await look.shot(page, 'chat-too-fast');
  await page
    .getByText(/trying again in \d s/)
    .first()
    .waitFor();
  await arrived(chat, before + 2);
  look.see(
    'too fast is said, and it goes out in order',
    chat.stored.slice(before).map(({ text }) => text),
    ['one', 'two'],
  );
  chat.answer('messages', Response.json({ code: 'Invalid', errors: [{ field: 'text', message: 'This is not a text.' }] }, { status: 422 }));
  await say(page, 'nonsense');
  await page.getByText('This is not a text.').waitFor();
  look.see('a refused message is accessible', await violations(page), []);
  await look.shot(page, 'chat-refused');
  await say(page, 'three');
  await arrived(chat, before + 3);
  await page.getByRole('button', { name: 'Remove' }).click();
  look.see('what is refused holds nothing up and can be removed', (await bubbles(page)).slice(1), ['one', 'two', 'three']);
  await page.fill('textarea', 'x'.repeat(4_001));
  await page.getByText('1 character too many').waitFor();
  await page.keyboard.press('Enter');
  look.see('a text too long is not sent and not lost', [chat.stored.length - before, (await page.inputValue('textarea')).length], [3, 4_001]);
  await page.fill('textarea', '');
  await context.close();
}

async function forgotten({ browser, look, chat, site }: Visit): Promise<void> {
  const context = await browser.newContext({ viewport: DESKTOP });
  const page = await opened(context, site);
  await page.evaluate(() => {
    for (const key of Object.keys(localStorage)) if (/^trunkline:[^:]+$/.test(key)) localStorage.setItem(key, 'v1.forged.token');
  });
  const before = chat.asked.filter((one) => one === 'POST visitor').length;
  await page.reload();
  await launcher(page).waitFor();
  await say(page, 'Do you know me?');
  await page.getByText('Do you know me?').waitFor();
  await until(() => chat.stored.at(-1)?.text === 'Do you know me?');
  look.see('who is not known any more becomes a new visitor, once', chat.asked.filter((one) => one === 'POST visitor').length - before, 1);
  await context.close();
}

async function withoutStorage({ browser, look, chat, site }: Visit): Promise<void> {
  const page = await browser.newPage({ viewport: DESKTOP });
  const said = complaints(page);
  await page.goto(`${site.url}sandboxed`);
  await page.getByRole('button', { name: 'Open chat' }).click();
  const before = chat.stored.length;
  await say(page, 'I keep nothing');
  await arrived(chat, before + 1);
  chat.reply('That is fine');
  await page.getByText('That is fine').waitFor();
  look.see('where the browser keeps nothing it works all the same', [(await bubbles(page)).slice(1), said], [['I keep nothing', 'That is fine'], []]);
  await page.close();
}

async function onPhone({ browser, look, chat, site }: Visit): Promise<void> {
  const context = await browser.newContext({ viewport: PHONE, isMobile: true, hasTouch: true, deviceScaleFactor: 2 });
  const page = await context.newPage();
  await page.goto(site.url);
  await launcher(page).tap();
  await chat1(page, 'Ask us anything');
  look.see('on a phone opening does not bring up the keyboard', await focused(page), 'panel');
  await page.tap('textarea');
  const before = chat.stored.length;
  await page.keyboard.type('From my phone');
  await page.getByRole('button', { name: 'Send' }).tap();
  await arrived(chat, before + 1);
  chat.tell({ type: 'joined', author: 'Ada' });
  chat.reply('Hello phone. '.repeat(12));
  chat.reply('And a very long word: ' + 'Lampenschirmbefestigung'.repeat(5), {
    quickReplies: [
      { label: 'Fine', choice: 'a' },
      { label: 'Not fine at all, and this label is long', choice: 'b' },
    ],
  });
  await page.getByRole('button', { name: 'Not fine' }).waitFor();
  await page.waitForTimeout(400);
  look.see('on a phone it is accessible', await violations(page), []);
  look.see('it takes the screen, and no more', await box(page.locator('.panel')), { x: 0, y: 0, ...PHONE });
  look.see('nothing is too small for a finger', await tooSmall(page), []);
  await look.shot(page, 'chat-phone');
  await page.getByRole('button', { name: 'Close chat' }).first().tap();
  look.see('closed it gives the page back', await page.locator('.panel').isVisible(), false);
  await context.close();
}

async function inTheDark({ browser, look, chat, site }: Visit): Promise<void> {
  const context = await browser.newContext({ viewport: DESKTOP, colorScheme: 'dark', reducedMotion: 'reduce' });
  const page = await opened(context, site);
  look.see('in the dark it is accessible', await violations(page), []);
  const before = chat.stored.length;
  await say(page, 'Is anybody there? It is dark.');
  await arrived(chat, before + 1);
  chat.tell({ type: 'joined', author: 'Ada' });
  chat.reply('Yes, and that is a lamp we can mend.', { quickReplies: [{ label: 'Great', choice: 'a' }] });
  await page.getByRole('button', { name: 'Great' }).waitFor();
  look.see('the conversation too', await violations(page), []);
  look.see(
    'where no motion is wanted none is',
    await page
      .locator('.row')
      .first()
      .evaluate((row) => getComputedStyle(row).animationName),
    'none',
  );
  await look.shot(page, 'chat-dark');
  await context.close();
}

async function closed({ browser, look, chat, site }: Visit): Promise<void> {
  chat.enabled(false);
  const context = await browser.newContext({ viewport: DESKTOP });
  const page = await opened(context, site);
  await page.getByText('This chat is closed at the moment.').waitFor();
  look.see('closed, it does not greet', await bubbles(page), []);
  look.see('closed it is accessible', await violations(page), []);
  await look.shot(page, 'chat-closed');
  chat.enabled(true);
  await context.close();
}

async function away({ browser, look, chat, site }: Visit): Promise<void> {
  const context = await browser.newContext({ viewport: DESKTOP });
  const page = await opened(context, site);
  await page.getByLabel('Your email address').waitFor();
  await page.waitForTimeout(300);
  look.see('away, it is accessible', await violations(page), []);
  await look.shot(page, 'chat-away');
  await say(page, 'My lamp is broken');
  look.see('without an address the visitor is asked first', [await focused(page), chat.stored.length], ['Your email address', 0]);
  await page.getByText('or send without it').waitFor();
  await page.keyboard.type('ada@');
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.getByText('Enter an email address like').waitFor();
  look.see('and with a wrong one, accessibly', [chat.stored.length, await violations(page)], [0, []]);
  await look.shot(page, 'chat-away-wrong');
  await page.getByLabel('Your email address').fill('ada@example.com');
  await page.keyboard.press('Enter');
  await arrived(chat, 1);
  look.see('the address goes with the message, and nothing stays behind', [chat.emails, await page.inputValue('textarea')], [['ada@example.com'], '']);
  await page.getByText('answers go to the email address you gave').waitFor();
  await look.shot(page, 'chat-away-given');
  await page.getByRole('button', { name: 'Change' }).click();
  look.see('the address can be changed, from an empty field', [await focused(page), await page.inputValue('#email')], ['Your email address', '']);
  look.see('and that is accessible', [await violations(page), await tooSmall(page)], [[], []]);
  await look.shot(page, 'chat-away-change');
  await page.getByRole('button', { name: 'Keep the one I gave' }).click();
  look.see('or kept after all', await page.getByLabel('Your email address').isVisible(), false);
  await page.getByRole('button', { name: 'Change' }).click();
  await say(page, 'Another thing');
  await arrived(chat, 2);
  look.see('who leaves it empty writes all the same', chat.emails, ['ada@example.com']);
  await page.getByLabel('Your email address').fill('ada.l@example.com');
  await say(page, 'That was mistyped');
  await arrived(chat, 3);
  await page.getByText('answers go to the email address you gave').waitFor();
  look.see('the other one goes with the next message', chat.emails, ['ada@example.com', 'ada.l@example.com']);
  await page.reload();
  await page.getByText('My lamp is broken').waitFor();
  look.see(
    'that it was given is remembered, but not the address',
    [await page.getByLabel('Your email address').isVisible(), JSON.stringify(await page.evaluate(() => Object.entries(localStorage))).includes('example.com')],
    [false, false],
  );
  await page.getByRole('button', { name: 'Email me the transcript' }).click();
  await page.getByText('The transcript is on its way').first().waitFor();
  chat.answer('transcript', Response.json({ code: 'TooMany', errors: [] }, { status: 429 }));
  await page.getByRole('button', { name: 'Email me the transcript' }).click();
  await page.getByText('No more transcripts can be sent for now').first().waitFor();
  await context.close();
  const other = await browser.newContext({ viewport: PHONE, colorScheme: 'dark' });
  const dark = await opened(other, site);
  await dark.waitForTimeout(300);
  look.see('away on a phone in the dark it is accessible', await violations(dark), []);
  await look.shot(dark, 'chat-away-phone-dark');
  await say(dark, 'No address from me');
  await dark.getByRole('button', { name: 'Send without it' }).click();
  await arrived(chat, 4);
  look.see('nobody has to give one', [chat.stored.at(-1)?.text, chat.emails.length], ['No address from me', 2]);
  await other.close();
}

async function onTheLeft({ browser, look, chat, site }: Visit): Promise<void> {
  const context = await browser.newContext({ viewport: DESKTOP });
  const page = await opened(context, site);
  await say(page, 'Hello from the left');
  await arrived(chat, 1);
  await page.waitForTimeout(300);
  look.see('with a light accent it is readable', await violations(page), []);
  look.see('it stands on the left', (await box(page.locator('.panel'))).x, 20);
  look.see('a picture that the page does not allow is replaced by initials', await page.locator('header .avatar').textContent(), 'AL');
  await look.shot(page, 'chat-left');
  await context.close();
}

async function opened(context: BrowserContext, site: Site): Promise<Page> {
  const page = await context.newPage();
  await page.goto(site.url);
  await launcher(page).click();
  await page.locator('.panel').waitFor();
  return page;
}

function launcher(page: Page): Locator {
  return page.locator('.launcher');
}

async function chat1(page: Page, text: string): Promise<void> {
  await page.getByText(text).waitFor();
}

async function say(page: Page, text: string): Promise<void> {
  await page.locator('textarea').pressSequentially(text);
  await page.locator('textarea').press('Enter');
}

/** What each bubble says, without what is only read aloud. */
function bubbles(page: Page): Promise<string[]> {
  return page.locator('.bubble').evaluateAll((all) =>
    all.map((one) =>
      [...one.childNodes]
        .slice(1)
        .map(({ textContent }) => textContent ?? '')
        .join(''),
    ),
  );
}

function focused(page: Page): Promise<string | null> {
  return page.evaluate(() => {
    const active = document.activeElement?.shadowRoot?.activeElement ?? document.activeElement;
    const label = active instanceof HTMLInputElement ? active.labels?.[0]?.textContent : null;
    return label ?? active?.getAttribute('aria-label') ?? active?.id ?? null;
  });
}

async function hide(page: Page, hidden: boolean): Promise<void> {
  await page.evaluate((now) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => now });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
}

function token(page: Page): Promise<string | null> {
  return page.evaluate(() => Object.entries(localStorage).find(([key]) => /^trunkline:[^:]+$/.test(key))?.[1] ?? null);
}

async function box(of: Locator): Promise<{ readonly x: number; readonly y: number; readonly width: number; readonly height: number }> {
  await of.evaluate((one) => Promise.all(one.getAnimations().map(({ finished }) => finished)));
  return (await of.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
}

function tooSmall(page: Page): Promise<string[]> {
  return page
    .locator('.panel :is(button, input, textarea)')
    .evaluateAll((all) =>
      all
        .filter((one) => one.getClientRects().length > 0 && Math.min(one.getBoundingClientRect().width, one.getBoundingClientRect().height) < 44)
        .map((one) => one.className || one.id),
    );
}

function ordered(texts: readonly string[], word: string): boolean {
  const numbers = texts.filter((text) => text.startsWith(`${word} `)).map((text) => Number(text.slice(word.length)));
  return numbers.length === 12 && numbers.every((number, at) => number === at + 1);
}

/** What axe finds wrong with the widget. It is run from outside, for the page itself lets no other script in. */

function complaints(page: Page): string[] {
  const said: string[] = [];
  page.on('console', (message) => void said.push(message.text()));
  page.on('pageerror', (error) => void said.push(error.message));
  return said;
}

async function arrived(chat: ChatStandIn, count: number): Promise<void> {
  await until(() => chat.stored.length >= count);
}

const PATIENCE = 600;

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds()); tries += 1) {
    if (tries > PATIENCE) throw new Error(`it did not come: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

interface Site {
  readonly url: string;
  close(): void;
}

/** Somebody's page with the tracking code: it allows the widget's origin and nothing besides, no styles and no scripts of its own. */
async function startSite({ origin, script }: ChatStandIn): Promise<Site> {
  const rules = `default-src 'none'; script-src ${origin}; connect-src ${origin}; img-src data:`;
  const html = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Acme lamps</title><link rel="icon" href="data:,"><script async src="${script}"></script></head><body><h1>Acme lamps</h1><p>Light for every room. <a href="#more">More about us</a></p></body></html>`;
  const server = createServer((request, response) => {
    const more =
      request.url === '/sandboxed' ? '; sandbox allow-scripts' : request.url?.startsWith('/trusted') === true ? "; require-trusted-types-for 'script'" : '';
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': rules + more });
    response.end(html);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  return { url: `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}/`, close: () => server.close() };
}
