import { afterAll, beforeAll, expect, test } from 'vitest';
import { globalId } from '#api/builder.ts';
import { createDevMailPage } from '#api/dev-mail.ts';
import { queueSystemMail } from '#commands/system-mail.ts';
import { transact } from '#commands/unit.ts';
import { makeChannel } from '../support/fixtures.ts';
import { openWorld, text, type Person, type World } from './support.ts';

const PASSWORD = 'marked-password-8812';
let world: World;
let admin: Person;
let agent: Person;
beforeAll(async () => {
  world = await openWorld();
  admin = await world.user({ role: 'ADMIN' });
  agent = await world.user();
});
afterAll(() => world?.close());

const SENDER = 'smtp { host port security username fromAddress fromName } channel { key } changedAt';
const SET = `mutation ($input: SetSystemSenderInput!) { setSystemSender(input: $input) { __typename
  ... on SystemSender { ${SENDER} } ... on InvalidInput { problems { path message } } ... on Forbidden { needs } } }`;
const smtp = { host: 'smtp.acme.example', port: 587, security: 'STARTTLS', username: 'desk', password: PASSWORD, fromAddress: 'desk@acme.example' };
const set = async (who: Person, input: object) => (await who.ask(SET, { input }))['setSystemSender'];
const sender = async (who: Person) => (await who.ask(`{ systemSender { ${SENDER} } }`))['systemSender'];
const MAILS = `query ($state: SystemMailState) { systemMails(first: 20, state: $state) { edges { node {
  id kind state reason attempts nextTryAt user { name } contact { name } ticket { name } } } } }`;

test('an admin chooses who sends, and gets no password back; an agent neither chooses nor sees it [CH-12] [CH-3] [API-6]', async () => {
  expect(await sender(admin)).toBeNull();
  expect(await set(agent, { smtp })).toEqual({ __typename: 'Forbidden', needs: 'the role admin' });
  const chosen = await set(admin, { smtp });
  expect(chosen).toMatchObject({
    __typename: 'SystemSender',
    smtp: { host: 'smtp.acme.example', port: 587, security: 'STARTTLS', username: 'desk', fromAddress: 'desk@acme.example', fromName: null },
    channel: null,
  });
  expect(JSON.stringify([chosen, await sender(admin)])).not.toContain(PASSWORD);
  expect(await sender(agent)).toBeNull();
  const channel = await makeChannel(world.db);
  expect(await set(admin, { channelId: globalId('Channel', channel.id) })).toMatchObject({ smtp: null, channel: { key: channel.key } });
  expect(world.wakes).toContainEqual({ kind: 'system-mail' });
});

test('every wrong field is named, and one of the two is needed [CH-12] [CH-3]', async () => {
  expect(await set(admin, { smtp: { ...smtp, host: 'no host', fromAddress: 'nobody' } })).toMatchObject({
    __typename: 'InvalidInput',
    problems: [{ path: 'smtp.host' }, { path: 'smtp.fromAddress' }],
  });
  expect(await set(admin, {})).toMatchObject({ problems: [{ path: 'smtp' }] });
});

test('mails are listed for admins, by whom they go to and not by what is in them; unsent ones are sent by a person [CH-12] [API-6]', async () => {
  const remove = 'mutation { removeSystemSender(input: {}) { __typename ... on SystemSenderRemoved { unsent } } }';
  const TEST = 'mutation { testSystemSender(input: {}) { __typename ... on SystemMail { id state user { id } } ... on NotPossible { reason } } }';
  const RESEND =
    'mutation ($input: ResendSystemMailInput!) { resendSystemMail(input: $input) { __typename ... on SystemMail { state } ... on NotPossible { reason } } }';
  await set(admin, { smtp });
  const { testSystemSender: tested } = await admin.ask(TEST);
  expect(tested).toMatchObject({ __typename: 'SystemMail', state: 'QUEUED', user: { id: admin.gid } });
  expect((await admin.ask(remove))['removeSystemSender']).toEqual({ __typename: 'SystemSenderRemoved', unsent: 1 });
  expect((await admin.ask(TEST))['testSystemSender']).toEqual({ __typename: 'NotPossible', reason: 'NO_SENDER' });
  const list = await admin.ask(MAILS, { state: 'UNSENT' });
  expect(list).toEqual({
    systemMails: {
      edges: [
        {
          node: {
            id: text(tested?.['id']),
            kind: 'TEST',
            state: 'UNSENT',
            reason: 'there is no system sender',
            attempts: 0,
            nextTryAt: null,
            user: { name: 'Test User' },
            contact: null,
            ticket: null,
          },
        },
      ],
    },
  });
  expect(await agent.ask(MAILS)).toEqual({ systemMails: { edges: [] } });
  expect(await agent.ask('query ($id: ID!) { node(id: $id) { id } }', { id: text(tested?.['id']) })).toEqual({ node: null });
  const again = { input: { mailId: text(tested?.['id']) } };
  expect((await admin.ask(RESEND, again))['resendSystemMail']).toEqual({ __typename: 'NotPossible', reason: 'NO_SENDER' });
  await set(admin, { smtp });
  expect((await admin.ask(RESEND, again))['resendSystemMail']).toEqual({ __typename: 'SystemMail', state: 'QUEUED' });
});

test('each kind of notification is switched in the API and by mail [MODEL-12]', async () => {
  const SWITCH = 'mutation ($input: SetNotificationSwitchInput!) { setNotificationSwitch(input: $input) { __typename } }';
  const off = async () => (await agent.ask('{ viewer { notificationsOff notificationMailsOff } }'))['viewer'];
  await agent.ask(SWITCH, { input: { kind: 'TICKET_ASSIGNED', on: false, by: 'MAIL' } });
  expect(await off()).toEqual({ notificationsOff: [], notificationMailsOff: ['TICKET_ASSIGNED'] });
  await agent.ask(SWITCH, { input: { kind: 'CHANNEL_HEALTH', on: false } });
  expect(await off()).toEqual({ notificationsOff: ['CHANNEL_HEALTH'], notificationMailsOff: expect.arrayContaining(['TICKET_ASSIGNED', 'CHANNEL_HEALTH']) });
  await agent.ask(SWITCH, { input: { kind: 'TICKET_ASSIGNED', on: true } });
  await agent.ask(SWITCH, { input: { kind: 'CHANNEL_HEALTH', on: true, by: 'API' } });
  expect(await off()).toEqual({ notificationsOff: [], notificationMailsOff: ['CHANNEL_HEALTH'] });
});

test('in development a page shows the mail, newest first, and takes nothing in it for markup [CH-12]', async () => {
  const evil = `<script>alert("x")</script>"></iframe><img src=x onerror=alert(1)>'`;
  await transact(world.db, { actor: 'SYSTEM' }, (unit) =>
    queueSystemMail(unit, [
      { kind: 'TRANSCRIPT', to: { userId: admin.id }, recipient: `<b>${evil}@out.example`, subject: `First ${evil}`, text: evil, html: `<p>${evil}</p>` },
    ]),
  );
  await transact(world.db, { actor: 'SYSTEM' }, (unit) =>
    queueSystemMail(unit, [{ kind: 'TRANSCRIPT', to: { userId: admin.id }, recipient: 'ben@out.example', subject: 'Second', text: 'plain' }]),
  );
  const app = createDevMailPage(world.db, 'https://desk.acme.example');
  const response = await app.request('http://127.0.0.1:4000/dev/mail');
  expect(response.status).toBe(200);
  expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
  const html = await response.text();
  expect(html.indexOf('Second')).toBeLessThan(html.indexOf('First'));
  // Whatever is shown is escaped; HTML stands in a frame that may do nothing.
  expect(html).not.toContain('<script');
  expect(html).not.toContain('<img');
  expect(html.match(/<iframe/g)).toHaveLength(1);
  expect(html).toContain('<iframe sandbox="" srcdoc="&lt;p&gt;');
  // Neither by a name that somebody else made point here.
  expect((await app.request('http://evil.example/dev/mail')).status).toBe(404);
  expect((await app.request('https://desk.acme.example/dev/mail')).status).toBe(200);
});
