import { createServer, type Server } from 'node:http';
import type { Browser, Page } from 'playwright-core';
import chat from '@trunkline/plugin-chat';
import { eventually, nodes, type Api, type Edges } from '#scripts/demo/graphql.ts';
import { apiClient } from '#scripts/demo/graphql.ts';
import { hire, openGround, type Ground } from '../e2e/ground.ts';
import { violations } from './axe.ts';
import type { Look } from './form.ts';

/** A robot that asks two things and leaves the rest to `userId`. */
function robot(userId: string): object {
  return {
    start: 'hello',
    steps: [
      { id: 'hello', type: 'say', text: 'Hello, I am the robot of Acme. Two questions, and somebody helps you.', next: 'topic' },
      {
        id: 'topic',
        type: 'ask',
        text: 'What is it about?',
        of: 'ticket',
        property: 'properties.topic',
        answer: { type: 'choice', choices: [{ label: 'An order' }, { label: 'A return' }] },
        next: 'email',
      },
      { id: 'email', type: 'ask', text: 'Where can we write to you?', of: 'contact', property: 'email', answer: { type: 'email' }, next: 'people' },
      { id: 'people', type: 'hand-off', text: 'Thank you. One moment, please.', rule: { kind: 'SPECIFIC', userIds: [userId] } },
    ],
  };
}

/** With real servers, in a page of another site: a robot asks, a person takes over and goes on after a reload; by mouse on a desktop, by keyboard alone on a telephone. */
export async function lookAtBot(browser: Browser, look: Look): Promise<void> {
  const ground = await openGround();
  let site: Server | undefined;
  try {
    const ada = await hire(ground, 'Ada');
    const snippet = await connectRobot(ground, ada.id);
    site = startSite(snippet, ground.stack.addresses.web);
    const url = await listening(site);
    const agent = apiClient(ground.stack.addresses.graphql, ada.token);
    await byMouse(browser, look, url, agent);
    await byKeyboard(browser, look, url, agent);
    look.see('every invariant holds afterwards', await ground.broken(), []);
  } finally {
    site?.closeAllConnections();
    site?.close();
    await ground.close();
  }
}

async function connectRobot({ admin }: Ground, userId: string): Promise<string> {
  const { places } = await admin.run<{ places: Edges<{ id: string; kind: string }> }>('{ places(first: 10) { edges { node { kind ... on Node { id } } } } }');
  const { id, snippet, primaryChatflow } = await admin.do<{ id: string; snippet: string; primaryChatflow: { id: string } }>(
    'connectChannel',
    '... on Channel { id snippet primaryChatflow { id } }',
    {
      plugin: chat.key,
      name: 'Shop',
      placeId: nodes(places).find((one) => one.kind === 'HELP_DESK')?.id,
      settings: { title: 'Acme lamps', greeting: 'Hello! Ask us anything about your lamp.', accent: '#0f766e' },
    },
  );
  await admin.do('saveChatflow', '... on Chatflow { id }', { channelId: id, chatflowId: primaryChatflow.id, kind: 'BOT', definition: robot(userId) });
  return snippet;
}

async function byMouse(browser: Browser, look: Look, url: string, agent: Api): Promise<void> {
  const page = await browser.newPage({ viewport: { width: 1100, height: 800 } });
  const complaints: string[] = [];
  page.on('console', (message) => void (message.type() === 'error' && complaints.push(message.text())));
  await page.goto(url);
  await page.getByRole('button', { name: 'Open chat' }).click();
  await page.getByRole('textbox', { name: 'Message' }).fill('My lamp flickers.');
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByRole('button', { name: 'An order' }).click();
  await said(page, 'Where can we write to you?');
  await page.getByRole('textbox', { name: 'Message' }).fill('nobody in particular');
  await page.keyboard.press('Enter');
  await page.getByText('Where can we write to you?').nth(1).or(page.getByText('email address')).first().waitFor();
  await page.getByRole('textbox', { name: 'Message' }).fill('grace@visitors.example');
  await page.keyboard.press('Enter');
  await said(page, 'Thank you. One moment, please.');
  await page.getByText('Ada joined').waitFor();
  look.see('a person is told to have joined', await page.getByText('Ada joined').count(), 1);
  const conversation = await newest(agent);
  look.see('the one whom the hand-off names has it, with the ticket', [conversation.owner?.name, conversation.ticket?.source !== undefined], ['Ada', true]);
  await agent.do('showTyping', '... on Conversation { id }', { conversationId: conversation.id }).catch(() => undefined);
  await agent.do('reply', '... on Message { id }', { conversationId: conversation.id, text: 'Hello, Ada here. Which lamp is it?' });
  await said(page, 'Hello, Ada here.');
  look.see('a conversation with a robot and a person is accessible', await violations(page), []);
  await look.shot(page, 'bot-desktop');
  await page.reload();
  await said(page, 'Hello, Ada here.');
  look.see('after a reload nothing is missing and nothing twice', await page.getByText('Which lamp is it?').count(), 1);
  look.see('nothing is complained of in the console', complaints, []);
  await page.close();
}

async function byKeyboard(browser: Browser, look: Look, url: string, agent: Api): Promise<void> {
  const context = await browser.newContext({ viewport: { width: 375, height: 720 } });
  const page = await context.newPage();
  await page.goto(url);
  await page.getByRole('button', { name: 'Open chat' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('textbox', { name: 'Message' }).waitFor();
  await page.keyboard.type('I want to give a lamp back.');
  await page.keyboard.press('Enter');
  const person = page.getByRole('button', { name: 'Talk to a person' });
  await page.getByRole('button', { name: 'A return' }).waitFor();
  for (let steps = 0; steps < 12 && !(await person.evaluate((button) => button.matches(':focus'))); steps += 1) await page.keyboard.press('Shift+Tab');
  look.see('a person can be asked for by keyboard', await person.evaluate((button) => button.matches(':focus')), true);
  await look.shot(page, 'bot-telephone-choices');
  await page.keyboard.press('Enter');
  await said(page, 'Thank you. One moment, please.');
  await page.getByText('Ada joined').waitFor();
  const conversation = await newest(agent);
  await agent.do('reply', '... on Message { id }', { conversationId: conversation.id, text: 'Gladly. Here is where to send it: https://acme.example/returns' });
  await said(page, 'Gladly. Here is');
  look.see('on a telephone it is accessible', await violations(page), []);
  await look.shot(page, 'bot-telephone');
  await context.close();
}

async function said(page: Page, text: string): Promise<void> {
  await page.getByText(text).last().waitFor();
}

interface Seen {
  readonly id: string;
  readonly owner: { readonly name: string } | null;
  readonly ticket: { readonly source: string } | null;
}

/** The conversation begun last that somebody has. */
async function newest(agent: Api): Promise<Seen> {
  return eventually('an owner', async () => {
    const { conversations } = await agent.run<{ conversations: Edges<Seen> }>(
      '{ conversations(first: 1, order: NEWEST_FIRST) { edges { node { id owner { name } ticket { source } } } } }',
    );
    const [first] = nodes(conversations);
    return first?.owner === null ? undefined : first;
  });
}

/** A shop of somebody else, whose page allows nothing but what the chat's guide asks for. */
function startSite(snippet: string, engine: string): Server {
  const { origin } = new URL(engine);
  const policy = `default-src 'none'; img-src data:; script-src ${origin}; connect-src ${origin}; base-uri 'none'; form-action 'none'`;
  return createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy });
    response.end(
      `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><title>A shop</title></head><body><main><h1>A shop of lamps</h1><p>They shine.</p></main>${snippet}</body></html>`,
    );
  });
}

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/`;
}
