import type { Browser } from 'playwright-core';
import { eventually, type Api } from '#scripts/demo/graphql.ts';
import { hire, openGround, type Ground } from '../e2e/ground.ts';
import type { Look } from './form.ts';

const SUPPORT = 'support@acme.example';

interface Preview {
  readonly words: string;
  readonly candidates: readonly {
    readonly outcome: string;
    readonly reason: string | null;
    readonly open: number | null;
    readonly user: { readonly name: string };
    readonly limits: readonly { readonly of: string; readonly open: number; readonly limit: number }[];
  }[];
}

/** What an admin is told of who would get it, candidate by candidate, and what an operator reads in Temporal UI of a ticket that somebody got: who has it, and why. */
export async function lookAtRouting(browser: Browser, look: Look): Promise<void> {
  const ground = await openGround({ ports: { temporalUi: 8233 } });
  try {
    const { admin, outside } = ground;
    const [ada, grace, eve, max] = [await hire(ground, 'Ada'), await hire(ground, 'Grace'), await hire(ground, 'Eve'), await hire(ground, 'Max')];
    await ground.connect({ name: 'Support', address: SUPPORT, userIds: [ada.id] });
    const channelId = await channelOf(admin);
    const rule = { kind: 'SPECIFIC', method: 'LEAST_BUSY', userIds: [ada, grace, eve, max].map(({ id }) => id) };
    await admin.do('setAvailability', '... on User { id }', { userId: eve.id, availability: 'AWAY' });
    await admin.do('setCapacity', '... on User { id }', { userId: max.id, written: 0 });
    await mail(ground, 'Grace Visitor', 'First');
    await admin.do('setRoutingRule', '... on Channel { id }', { channelId, rule });
    const preview = await previewOf(admin, channelId);
    const table = preview.candidates.map(({ user, outcome, reason, open, limits }) => ({
      candidate: user.name,
      outcome,
      'why not': reason ?? '',
      open: open ?? '',
      limits: limits.map((one) => `${one.of} ${one.open} of ${one.limit}`).join(', '),
    }));
    console.table(table);
    look.see(
      'a preview says of each candidate how they fare, and why not',
      table.map((row) => [row.candidate, row.outcome, row['why not']]),
      [
        ['Grace', 'CHOSEN', ''],
        ['Ada', 'ELIGIBLE', ''],
        ['Max', 'LEFT_OUT', 'AT_CAPACITY'],
        ['Eve', 'LEFT_OUT', 'AWAY'],
      ],
    );
    const number = await mail(ground, 'Mia', 'Second');
    await outside.close();
    const page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
    await page.goto(`${ground.stack.addresses.temporalUi ?? ''}/namespaces/default/workflows/ticket%2F${number}`);
    await page.getByText('decides who gets ticket').first().waitFor();
    await look.shot(page, 'temporal-ticket-history');
    const history = await page.locator('body').innerText();
    await page
      .getByRole('link', { name: 'User Metadata' })
      .or(page.getByRole('tab', { name: 'User Metadata' }))
      .first()
      .click();
    // The page shows summary and details each in a frame of its own.
    const details = page.frameLocator('iframe >> nth=1').getByText('was the least busy').first();
    const said = (await details.textContent()) ?? '';
    console.log(`     ${said.replaceAll(/\s+/g, ' ').trim()}`);
    look.see(
      'a ticket in Temporal UI says by ids who has it and why, with the numbers compared',
      [said.includes(`${grace.rowId} has it, who was the least busy among 2 eligible with 0 open`), said.includes(`user ${ada.rowId}, the next, had 1`)],
      [true, true],
    );
    look.see('and names nobody', /Grace|Ada|Mia|customer|Second/.test(`${history} ${said} ${await page.locator('body').innerText()}`), false);
    await look.shot(page, 'temporal-ticket');
    await page.close();
    look.see('every invariant holds afterwards', await ground.broken(), []);
  } finally {
    await ground.close();
  }
}

async function channelOf(admin: Api): Promise<string> {
  const { channels } = await admin.run<{ channels: { edges: readonly { node: { id: string } }[] } }>('{ channels(first: 1) { edges { node { id } } } }');
  return channels.edges[0]?.node.id ?? '';
}

/** A mail by a real client, until its ticket has an owner; the ticket's number. */
async function mail({ outside, db }: Ground, name: string, subject: string): Promise<number> {
  await outside.send({ from: `${subject.toLowerCase()}@customer.example`, name, to: SUPPORT, subject, text: 'It does not turn on.' });
  return eventually('the owner of a ticket', async () => {
    const ticket = await db.selectFrom('ticket').select('number').where('name', '=', subject).where('owner_id', 'is not', null).executeTakeFirst();
    return ticket?.number;
  });
}

async function previewOf(admin: Api, channelId: string): Promise<Preview> {
  const { previewRouting } = await admin.run<{ previewRouting: Preview }>(
    `query ($channelId: ID!) { previewRouting(channelId: $channelId) { ... on RoutingPreview { words candidates { outcome reason open user { name } limits { of open limit } } } } }`,
    { channelId },
  );
  return previewRouting;
}
