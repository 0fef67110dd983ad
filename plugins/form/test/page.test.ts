import { describe, expect, it } from 'vitest';
import { readableOn } from '../assets.ts';
import { TOO_OLD_MS } from '../proof.ts';
import { form, GOOD, hiddenOf, json, ORIGIN, SITE, tagNamed, tags } from './support.ts';

const text = (response: Response): Promise<string> => response.text();

describe('the page', () => {
  it('works without a script: a form of its own address, every control with a label, everything required said [FORM-2]', async () => {
    const page = await text(await form().ask('/'));
    const all = tags(page);
    const [main] = all.filter(({ name }) => name === 'form');
    expect(Object.fromEntries(main?.attributes ?? [])).toMatchObject({ method: 'post', action: './', enctype: 'multipart/form-data' });
    const ids = all.flatMap(({ attributes }) => attributes.get('id') ?? []);
    expect(new Set(ids).size).toBe(ids.length);
    const labelled = new Set(all.filter(({ name }) => name === 'label').map(({ attributes }) => attributes.get('for')));
    const controls = all.filter(({ name, attributes }) => ['input', 'textarea', 'select'].includes(name) && attributes.get('type') !== 'hidden');
    expect(controls.length).toBeGreaterThan(10);
    for (const { attributes } of controls) expect(labelled.has(attributes.get('id') ?? 'none'), attributes.get('name')).toBe(true);
    const required = ['email', 'topic', 'name', 'description', 'consent'];
    const said = controls.filter(({ attributes }) => attributes.has('required')).map(({ attributes }) => attributes.get('name'));
    expect([...new Set(said)]).toEqual(required);
    expect(all.filter(({ name }) => name === 'html')[0]?.attributes.get('lang')).toBe('en');
    expect(tagNamed(page, 'email').attributes.get('autocomplete')).toBe('email');
    expect(tagNamed(page, 'fullname').attributes.get('autocomplete')).toBe('name');
    expect(tagNamed(page, 'phone').attributes.get('autocomplete')).toBe('tel');
  });

  it('has no field for pipeline and status, and shows no hidden one [FORM-1, FORM-3]', async () => {
    const page = await text(await form().ask('/'));
    expect(page).not.toMatch(/name="(pipeline|status)"/);
    expect(tagNamed(page, 'utm').attributes.get('type')).toBe('hidden');
    expect(page).not.toContain('Source');
  });

  it('has nothing inline and nothing from elsewhere, and is framed only by sites the settings name [FORM-2]', async () => {
    const response = await form().ask('/');
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'");
    expect(policy).toContain(`frame-ancestors 'self' ${SITE}`);
    const page = await text(response);
    expect(page).not.toMatch(/<style|style="|<script>|\son\w+=|https?:\/\//);
    expect((await form({ allowedOrigins: [] }).ask('/')).headers.get('content-security-policy')).toMatch(/frame-ancestors 'self'$/);
  });

  it('says each error with its field, leads to it, and has the focus first on what is wrong [FORM-2]', async () => {
    const it = form();
    const response = await it.send({ ...GOOD, email: 'nonsense', topic: '', name: '<b>"x"</b>' });
    expect(response.status).toBe(422);
    const page = await text(response);
    const all = tags(page);
    const byId = new Map(all.flatMap((tag) => (tag.attributes.has('id') ? [[tag.attributes.get('id') ?? '', tag]] : [])));
    const links = all.filter(({ name, attributes }) => name === 'a' && attributes.get('href')?.startsWith('#') === true);
    expect(links).toHaveLength(2);
    for (const { attributes } of links) expect(byId.has((attributes.get('href') ?? '').slice(1))).toBe(true);
    expect(byId.get('errors')?.attributes.has('autofocus')).toBe(true);
    const email = tagNamed(page, 'email').attributes;
    expect(email.get('aria-invalid')).toBe('true');
    for (const id of (email.get('aria-describedby') ?? '').split(' ')) expect(byId.has(id), id).toBe(true);
    expect(email.get('aria-describedby')).toContain('-error');
    // What was typed stands there again, as text.
    expect(tagNamed(page, 'name').attributes.get('value')).toBe('<b>"x"</b>');
    expect(page).not.toContain('<b>');
    expect(page).toMatch(/It broke\.\r?\nTwice\.<\/textarea>/);
    expect(page).toMatch(/<title>Error: /);
    expect(it.delivered).toEqual([]);
  });

  it('is filled in by its address, and keeps markup in it text', async () => {
    const page = await text(await form().ask(`/?name=${encodeURIComponent('"><script>x</script>')}&utm=mail&topic=other`));
    expect(page).not.toContain('<script>x');
    expect(tagNamed(page, 'name').attributes.get('value')).toBe('"><script>x</script>');
    expect(hiddenOf(page)['utm']).toBe('mail');
    expect(
      tags(page)
        .find(({ attributes }) => attributes.has('checked'))
        ?.attributes.get('value'),
    ).toBe('other');
  });

  it('answers what is not there with 404, another method with 405, an address without its slash with one that has it', async () => {
    const it = form();
    expect((await it.ask('/nothing')).status).toBe(404);
    expect((await it.ask('/../../secret')).status).toBe(404);
    expect((await it.ask('/', { method: 'DELETE' })).status).toBe(405);
    expect((await it.ask('/submissions')).status).toBe(405);
    const bare = await it.ask('?a=1');
    expect([bare.status, bare.headers.get('location')]).toEqual([308, './form-7k3q9x/?a=1']);
  });

  it('gives its style with the settings’ colour and a text on it that can be read', async () => {
    const css = await text(await form({ accent: '#FFE500' }).ask('/form.css'));
    expect(css).toContain('--accent:#ffe500;--on-accent:#000000');
    expect(readableOn('#1d4ed8')).toBe('#ffffff');
    const script = await form().ask('/embed.js');
    expect(script.headers.get('content-type')).toContain('javascript');
    expect(script.headers.get('cross-origin-resource-policy')).toBe('cross-origin');
  });
});

describe('what the page sends', () => {
  it('is taken in as it came, with the form as it was, and leads to a page that may be loaded again [FORM-2, FORM-4]', async () => {
    const it = form();
    const response = await it.send(GOOD, { files: [new File(['bytes of a photo'], 'lamp.png', { type: 'image/png' })] });
    expect([response.status, response.headers.get('location')]).toEqual([303, './thanks']);
    expect(it.delivered).toHaveLength(1);
    expect(Buffer.from(it.delivered[0]?.body ?? []).toString()).toContain('bytes of a photo');
    expect(it.delivered[0]?.headers['x-form-definition']).toContain('"What happened?"');
    expect(await text(await it.ask('/thanks'))).toContain('Thank you. We have your message.');
  });

  it('is one message, however often the same is sent; gone back to and changed it is another [MODEL-4]', async () => {
    const it = form();
    const hidden = await it.open();
    for (const values of [GOOD, GOOD, { ...GOOD, description: 'Something else' }]) await it.send(values, { hidden });
    const keys = await Promise.all(it.delivered.map(async (_, index) => (await it.parsed(index)).dedupeKey));
    expect(keys[0]).toBe(keys[1]);
    expect(keys[2]).not.toBe(keys[0]);
    await it.send();
    expect((await it.parsed()).dedupeKey).not.toBe(keys[0]);
  });

  it('too fast, too old, forged or from nowhere is shown again with what was typed, and can be sent then [FORM-2]', async () => {
    const it = form();
    const hidden = await it.open();
    const cases: readonly [Record<string, string>, number, string][] = [
      [hidden, -2_000, 'very quick'],
      [hidden, TOO_OLD_MS, 'more than a day'],
      [{ ...hidden, _shown: `${hidden['_shown']?.slice(0, -1)}x` }, 0, 'look it over'],
      [{}, 0, 'look it over'],
    ];
    for (const [carried, wait, words] of cases) {
      it.clock = Number.parseInt(hidden['_shown'] ?? '', 36) + wait;
      const response = await it.send(GOOD, { hidden: carried });
      const page = await text(response);
      expect([response.status, page.includes(words), page.includes('It broke.')]).toEqual([422, true, true]);
      expect(it.delivered).toEqual([]);
      const second = await it.send(GOOD, { hidden: hiddenOf(page) });
      expect(second.status).toBe(303);
      it.delivered.length = 0;
    }
  });

  it('by a robot looks taken, and nothing is stored [FORM-2]', async () => {
    const it = form();
    expect((await it.send({ ...GOOD, _homepage: 'https://spam.example' })).headers.get('location')).toBe('./thanks');
    expect((await it.ask('/submissions', json({ ...GOOD, _homepage: 'x' }))).status).toBe(201);
    expect(it.delivered).toEqual([]);
    expect(it.lines.join()).not.toContain('spam');
  });

  it('the trap is out of reach of the keyboard, of readers and of a browser’s memory [FORM-2]', async () => {
    const page = await text(await form().ask('/'));
    const trap = tagNamed(page, '_homepage').attributes;
    expect([trap.get('tabindex'), trap.get('autocomplete')]).toEqual(['-1', 'off']);
    expect(page).toMatch(/<div class="trap" aria-hidden="true">/);
  });

  it('too often is asked to wait, with what was typed still there [FORM-2]', async () => {
    const it = form();
    it.tooMany = true;
    const response = await it.send();
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '60']);
    expect(await text(response)).toContain('It broke.');
    expect((await it.ask('/submissions', json(GOOD))).status).toBe(429);
    expect(it.delivered).toEqual([]);
  });

  it('that can not be stored is not lost: it is shown again, and sent a second time it is one message', async () => {
    const it = form();
    it.away = true;
    const response = await it.send();
    const page = await text(response);
    expect([response.status, page.includes('It broke.')]).toEqual([503, true]);
    it.away = false;
    expect((await it.send(GOOD, { hidden: hiddenOf(page) })).status).toBe(303);
    expect(it.delivered).toHaveLength(1);
  });

  it('leads on to the settings’ own address by a navigation of its own', async () => {
    const it = form({ redirectTo: 'https://acme.example/thanks?a=1&b=2' });
    expect((await it.send()).headers.get('location')).toBe('./thanks');
    expect(await text(await it.ask('/thanks'))).toContain('<meta http-equiv="refresh" content="0; url=https://acme.example/thanks?a=1&amp;b=2">');
  });
});

describe('a form that is off [CH-9]', () => {
  it('says that it is closed, and its endpoint says so with a code', async () => {
    const it = form({ closedText: 'Back on Monday.' }, { enabled: false });
    const page = await it.ask('/');
    expect([page.status, await text(page)]).toEqual([200, expect.stringContaining('Back on Monday.')]);
    expect(await text(await it.ask('/'))).not.toContain('<form');
    const response = await it.ask('/submissions', json(GOOD));
    expect([response.status, await response.json()]).toEqual([403, { code: 'FormClosed', errors: [{ field: null, message: 'Back on Monday.' }] }]);
    expect((await it.send(GOOD, { hidden: {} })).status).toBe(403);
    expect(it.delivered).toEqual([]);
  });

  it('takes in what was opened before it was switched off', async () => {
    const hidden = await form().open();
    const off = form({}, { enabled: false });
    expect((await off.send(GOOD, { hidden })).status).toBe(303);
    expect(off.delivered).toHaveLength(1);
  });
});

describe('embedded', () => {
  it('names the page around only where the settings allow it, all the way to the thanks', async () => {
    const it = form();
    const own = await text(await it.ask(`/?_embed=1&_parent=${encodeURIComponent(SITE)}`));
    expect(
      tags(own)
        .find(({ name }) => name === 'html')
        ?.attributes.get('data-parent'),
    ).toBe(SITE);
    expect(hiddenOf(own)).toMatchObject({ _embed: '1', _parent: SITE });
    const sent = await it.send(GOOD, { hidden: hiddenOf(own) });
    expect(sent.headers.get('location')).toBe(`./thanks?_embed=1&_parent=${encodeURIComponent(SITE)}`);
    const foreign = await text(await it.ask('/?_embed=1&_parent=https://evil.example'));
    expect(foreign).not.toContain('evil.example');
  });
});

describe('the endpoint', () => {
  it('answers 201 with an id, or 422 with every wrong field, as the page does [FORM-2]', async () => {
    const it = form();
    const taken = await it.ask('/submissions', json(GOOD));
    const { id } = (await taken.json()) as { id: string };
    expect([taken.status, id]).toEqual([201, (await it.parsed()).providerMessageId]);
    const values = { ...GOOD, email: 'x', count: 1_000, consent: false, name: {} };
    const refused = await it.ask('/submissions', json(values));
    const { code, errors } = (await refused.json()) as { code: string; errors: readonly { field: string; message: string }[] };
    expect([refused.status, code, errors.map(({ field }) => field)]).toEqual([422, 'InvalidFields', ['email', 'count', 'name', 'consent']]);
    const page = await text(await it.send({ ...GOOD, email: 'x', count: '1000' }));
    for (const { message } of errors.slice(0, 2)) expect(page).toContain(message);
    expect(it.delivered).toHaveLength(1);
  });

  it('takes files as multipart, and the bytes come back from what was stored [CH-6]', async () => {
    const it = form();
    const body = new FormData();
    for (const [name, value] of Object.entries(GOOD)) body.append(name, value);
    body.append('photos', new File(['first'], 'a.png', { type: 'image/png' }));
    body.append('photos', new File(['second'], 'b.pdf'));
    expect((await it.ask('/submissions', { method: 'POST', body })).status).toBe(201);
    const { attachments } = await it.parsed();
    expect(attachments.map(({ fileName, type, bytes }) => [fileName, type, bytes])).toEqual([
      ['a.png', 'image/png', 5],
      ['b.pdf', 'application/octet-stream', 6],
    ]);
  });

  it('a key of the client’s own makes two tries one message; without one each is another [MODEL-4]', async () => {
    const it = form();
    for (const key of ['k1', 'k1', 'k2']) await it.ask('/submissions', json(GOOD, { 'idempotency-key': key }));
    await it.ask('/submissions', json(GOOD));
    await it.ask('/submissions', json(GOOD));
    const ids = await Promise.all(it.delivered.map(async (_, index) => (await it.parsed(index)).dedupeKey));
    expect(ids[0]).toBe(ids[1]);
    expect(new Set(ids).size).toBe(4);
  });

  it('is for scripts of allowed sites only; a server, which says no origin, may come too [FORM-2]', async () => {
    const it = form();
    const preflight = (origin: string) => it.ask('/submissions', { method: 'OPTIONS', headers: { origin } });
    const allowed = await preflight(SITE);
    expect([allowed.status, allowed.headers.get('access-control-allow-origin'), allowed.headers.get('vary')]).toEqual([204, SITE, 'origin']);
    expect([...(await preflight('https://evil.example')).headers.keys()]).not.toContain('access-control-allow-origin');
    const ours = await it.ask('/submissions', json(GOOD, { origin: SITE }));
    expect([ours.status, ours.headers.get('access-control-allow-origin')]).toEqual([201, SITE]);
    const foreign = await it.ask('/submissions', json(GOOD, { origin: 'https://evil.example' }));
    expect([foreign.status, ((await foreign.json()) as { code: string }).code]).toEqual([403, 'OriginNotAllowed']);
    expect((await it.ask('/submissions', json(GOOD))).status).toBe(201);
    expect((await it.ask('/submissions', json(GOOD, { origin: ORIGIN }))).status).toBe(201);
    expect(it.delivered).toHaveLength(3);
  });

  it('gives a plain form on another page of the account’s a page: thanks, or the form with what is wrong', async () => {
    const it = form();
    const post = (values: Record<string, string>, origin = SITE) =>
      it.ask('/submissions', { method: 'POST', body: new URLSearchParams(values), headers: { accept: 'text/html,*/*', origin } });
    expect((await post(GOOD)).headers.get('location')).toBe('./thanks');
    const wrong = await post({ ...GOOD, email: 'x' });
    const page = await text(wrong);
    expect([wrong.status, page.includes('It broke.'), hiddenOf(page)['_shown']?.length]).toEqual([422, true, expect.any(Number)]);
    const foreign = await post(GOOD, 'https://evil.example');
    expect([foreign.status, (await text(foreign)).includes('It broke.')]).toEqual([403, true]);
    expect(it.delivered).toHaveLength(1);
  });

  it('says what it could not read', async () => {
    const it = form();
    for (const [init, status] of [
      [json('{'), 400],
      [{ method: 'POST', body: '<a/>', headers: { 'content-type': 'text/xml' } }, 415],
      [json(`{"name":"${'x'.repeat(1024 * 1024)}"}`), 413],
    ] as const) {
      const response = await it.ask('/submissions', init);
      expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([status, 'Unreadable']);
    }
  });
});
