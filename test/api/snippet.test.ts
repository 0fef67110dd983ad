import chat from '@trunkline/plugin-chat';
import email from '@trunkline/plugin-email';
import form from '@trunkline/plugin-form';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDevTryPage } from '#api/dev-try.ts';
import { settingsSchema as formSettings } from '#plugins/form/settings.ts';
import { connectEmailChannel } from '../support/email-channel.ts';
import { testKeys } from '../support/fixtures.ts';
import { globalId, openWorld, text, type Json, type Person, type World } from './support.ts';

/** What an admin puts into a page of their own, and the page in development on which it is tried. */
const PUBLIC_URL = 'https://desk.acme.example';
const plugins = [email, form, chat];
let world: World;
let admin: Person;
let chatKey: string;
let mailKey: string;
let formKey: string;
beforeAll(async () => {
  world = await openWorld({ plugins, publicUrl: PUBLIC_URL });
  admin = await world.user({ role: 'ADMIN' });
  chatKey = text((await connect('chat', { title: 'Acme' }))['key']);
  formKey = text((await connect('form', { title: 'Write to "us" & <b>them</b>' }))['key']);
  mailKey = (await connectEmailChannel(world.db, testKeys, { address: 'support@acme.example' })).key;
});
afterAll(() => world.close());

async function connect(plugin: string, settings: Record<string, unknown>): Promise<Json> {
  const { id } = await world.db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
  const { connectChannel } = await admin.ask(
    `mutation ($plugin: String!, $settings: JSONObject!, $place: ID!) {
      connectChannel(input: { plugin: $plugin, name: "One", placeId: $place, settings: $settings }) { ... on Channel { id key } ... on InvalidInput { problems { path message } } } }`,
    { plugin, settings, place: globalId('HelpDesk', id) },
  );
  return connectChannel ?? {};
}

async function snippetFor(person: Person, key: string): Promise<unknown> {
  const { channelByKey } = await person.ask('query ($key: String!) { channelByKey(key: $key) { snippet } }', { key });
  return channelByKey?.['snippet'];
}

test('an admin is given what goes into a page; agents, and channels that have none, get null [CHAT-1] [FORM-2]', async () => {
  expect(await snippetFor(admin, chatKey)).toBe(`<script async src="${PUBLIC_URL}/pages/chat/${chatKey}/widget.js"></script>`);
  expect(await snippetFor(admin, formKey)).toBe(
    `<script async src="${PUBLIC_URL}/pages/form/${formKey}/embed.js" data-title="Write to &quot;us&quot; &amp; &lt;b&gt;them&lt;/b&gt;"></script>`,
  );
  expect(await snippetFor(admin, mailKey)).toBeNull();
  expect(await snippetFor(await world.user({ role: 'AGENT' }), chatKey)).toBeNull();
});

test('the snippet of a form is of its settings alone', () => {
  const settings = formSettings.parse({ title: 'Contact' });
  expect(form.snippet?.(settings, 'https://a.example/pages/form/x')).toBe(
    '<script async src="https://a.example/pages/form/x/embed.js" data-title="Contact"></script>',
  );
});

test('in development a page carries it under a policy without anything inline; elsewhere, and for channels without, there is none [CHAT-1]', async () => {
  const app = createDevTryPage({ db: world.db, plugins, publicUrl: PUBLIC_URL });
  const ask = (key: string, host = 'http://127.0.0.1:4000') => app.request(`${host}/try/${key}`);
  for (const key of [chatKey, formKey]) {
    const response = await ask(key);
    expect(response.status, key).toBe(200);
    const html = await response.text();
    expect(html).toContain(String(await snippetFor(admin, key)));
    expect(html.match(/<script/g)).toHaveLength(1);
    expect(html).not.toMatch(/<style|style="|\son\w+=/);
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toContain(`default-src 'none'; script-src ${PUBLIC_URL}; connect-src ${PUBLIC_URL}; frame-src ${PUBLIC_URL}`);
    expect(policy).not.toContain('unsafe');
  }
  for (const key of [mailKey, 'chat-nothere', "x'--", '%00']) expect((await ask(key)).status, key).toBe(404);
  // Neither by a name that somebody else made point here.
  expect((await ask(chatKey, 'http://evil.example')).status).toBe(404);
  await world.db.updateTable('channel').set({ disconnected_at: new Date() }).where('key', '=', formKey).execute();
  expect((await ask(formKey)).status).toBe(404);
});
