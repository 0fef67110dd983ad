import { sql } from 'kysely';
import type { Browser, FrameLocator, Page } from 'playwright-core';
import config from '#config';
import { globalId } from '#api/builder.ts';
import { keysFrom } from '#commands/secrets.ts';
import { apiClient, eventually, nodes, type Api, type Edges } from '#scripts/demo/graphql.ts';
import { seedInbox } from '#scripts/seed/inbox.ts';
import { openGround, type Ground } from '../e2e/ground.ts';
import type { Look } from './form.ts';

const CONVERSATIONS = 3_000;
const SEED = 8;
/** Long enough to look at what waits, in a browser that has yet to begin. */
const STARTS_IN_MS = 60_000;
/** A worker that just begins a long step tells how far it is when that is over. */
const PATIENCE_MS = 180_000;

/** A conversation that is to be moved, as it was before. */
interface Before {
  readonly id: string;
  readonly owner_id: string | null;
  readonly ticket_id: string | null;
}

interface Viewer {
  readonly role: string;
  readonly rowId: string | null;
  readonly api: Api;
}

interface Notice {
  readonly channelName: string;
  readonly since: string;
  readonly by: { readonly name: string };
  readonly found: number;
  readonly moved: number;
  readonly remaining: number;
  readonly own: { readonly moved: number; readonly toMove: number; readonly unassigned: number };
  readonly migration: { readonly id: string } | null;
}

/** What an operator reads in Temporal UI of a move before, while and after it runs, and what an agent, an admin and a super admin are told of it meanwhile. */
export async function lookAtMigration(browser: Browser, look: Look): Promise<void> {
  const ground = await openGround({ ports: { temporalUi: 8233 } });
  try {
    const { admin, db, stack, outside } = ground;
    const cast = await seedInbox(
      db,
      { plugins: config.plugins, keys: keysFrom(stack.secret) },
      { conversations: CONVERSATIONS, kinds: ['mails', 'forms', 'chats'], seed: SEED },
    );
    const mail = cast.channels.mails;
    if (mail === undefined) throw new Error('the inbox has no email channel');
    const before = await keep(ground, mail.channelId);
    const viewers: readonly Viewer[] = [
      await agent(ground, 'agent with access', cast.withAccess[0] ?? ''),
      await agent(ground, 'agent without', cast.withoutAccess[0] ?? ''),
      await newAdmin(ground),
      { role: 'super admin', rowId: null, api: admin },
    ];
    const tellsNobody = async (): Promise<readonly number[]> => Promise.all(viewers.map(async ({ api }) => (await noticesOf(api)).length));
    const page = await browser.newPage({ viewport: { width: 1400, height: 1100 } });

    const startAt = new Date(Date.now() + STARTS_IN_MS).toISOString();
    const { id } = await admin.do<{ id: string }>('startChannelMigration', '... on ChannelMigration { id }', {
      channelId: globalId('Channel', mail.channelId),
      history: 'ALL',
      ...(await statuses(admin)),
      startAt,
    });
    // Somebody holds the newest third all along, so that there is a while in which it runs.
    const held = before.slice(-Math.floor(before.length / 3));
    const letGo = await hold(ground, held);
    try {
      await openMove(ground, page, mail.key);
      await page.getByText(`starts at`).first().waitFor();
      look.see(
        'before its hour a timer in Temporal UI says what starts when',
        (await page.getByText(`the move of channel ${mail.key} starts at ${startAt}`).count()) > 0,
        true,
      );
      await look.shot(page, 'temporal-move-before-history');
      const waits = await details(page);
      look.see('its details say when it will be moved, and that it can be withdrawn until then', await words(waits), {
        when: `Channel ${mail.key} will be moved to the help desk at ${startAt.slice(0, 10)} ${startAt.slice(11, 19)} UTC`,
        withdraw: true,
      });
      await look.shot(page, 'temporal-move-before');
      look.see('nobody is told of it yet', await tellsNobody(), [0, 0, 0, 0]);

      await eventually('all are moved but what is held', async () => ((await remaining(admin, id)) === held.length ? true : undefined), PATIENCE_MS);
      // A conversation that begins meanwhile, and somebody who would stop it.
      await outside.send({
        from: 'second@customer.example',
        name: 'Mia',
        to: `hello.${SEED}@acme.example`,
        subject: 'Another lamp',
        text: 'It does not turn on.',
      });
      await eventually('the new conversation', async () =>
        db.selectFrom('channel_migration_conversation').select('how').where('how', '=', 'ARRIVED').executeTakeFirst(),
      );
      await ground.temporal('workflow', 'cancel', '--workflow-id', `channel-migration/${mail.key}`);
      await eventually('the cancel is noted', async () =>
        db.selectFrom('channel_migration_run').select('run_id').where('cancel_asked_at', 'is not', null).executeTakeFirst(),
      );
      const shows = await eventually('the details say how far it is', async () => {
        await openMove(ground, page, mail.key);
        const frame = await details(page);
        return (await cells(frame))[4] === '1' ? frame : undefined;
      });
      look.see(
        'while it runs its details say how far it is, in numbers that add up, also after a cancel',
        await cells(shows),
        [before.length, before.length - held.length, held.length, 0, 1].map(String),
      );
      console.log(`     ${await text(shows)}`);
      await look.shot(page, 'temporal-move-during');
      await openMove(ground, page, mail.key);
      await page.getByText('moves the next conversations').first().waitFor();
      await look.shot(page, 'temporal-move-during-history');
      await seeNotices(look, viewers, { before, held, withAccess: new Set(cast.withAccess) });
    } finally {
      await letGo();
    }

    await eventually('the move has ended', async () => ((await stateOf(admin, id)) === 'COMPLETED' ? true : undefined), PATIENCE_MS);
    const after = await eventually('its workflow has completed', async () => {
      await openMove(ground, page, mail.key);
      const frame = await details(page);
      return (await text(frame)).includes('is moved to the help desk') ? frame : undefined;
    });
    look.see('afterwards they say that all is moved', await cells(after), [before.length, before.length, 0, 0, 1].map(String));
    console.log(`     ${await text(after)}`);
    await look.shot(page, 'temporal-move-after');
    const shown = [await page.locator('body').innerText(), await text(after)];
    await openMove(ground, page, mail.key);
    await page.getByText('WorkflowExecutionCompleted').or(page.getByText('Workflow Execution Completed')).first().waitFor();
    await look.shot(page, 'temporal-move-after-history');
    shown.push(await page.locator('body').innerText());
    look.see('and name nobody', /Mia|customer|lamp|acme\.example|Dev Admin/.test(shown.join(' ')), false);
    await page.close();
    look.see('nobody is told of it any more', await tellsNobody(), [0, 0, 0, 0]);
    await seeReport(look, admin, id, before);
    await outside.close();
    look.see('every invariant holds afterwards', await ground.broken(), []);
  } finally {
    await ground.close();
  }
}

async function keep({ db }: Ground, channelId: string): Promise<readonly Before[]> {
  const { rows } = await sql<Before>`
    select c.id, a.owner_id, c.ticket_id from conversation c join assignment a on a.conversation_id = c.id
    where c.channel_id = ${channelId} and c.place = 'INBOX' order by c.id`.execute(db);
  return rows;
}

async function agent({ admin, stack }: Ground, role: string, rowId: string): Promise<Viewer> {
  const { token } = await admin.do<{ token: string }>('createApiToken', '... on NewApiToken { token }', { userId: globalId('User', rowId), name: 'look' });
  return { role, rowId, api: apiClient(stack.addresses.graphql, token) };
}

async function newAdmin({ admin, stack }: Ground): Promise<Viewer> {
  const person = { name: 'Anna', email: 'anna@staff.example', role: 'ADMIN', seat: 'PAID' };
  const { id } = await admin.do<{ id: string }>('createUser', '... on User { id }', person);
  const { token } = await admin.do<{ token: string }>('createApiToken', '... on NewApiToken { token }', { userId: id, name: 'look' });
  return { role: 'admin', rowId: null, api: apiClient(stack.addresses.graphql, token) };
}

async function statuses(admin: Api): Promise<{ readonly openStatusId: string | undefined; readonly closedStatusId: string | undefined }> {
  const { pipelines } = await admin.run<{ pipelines: Edges<{ statuses: readonly { id: string; category: string }[] }> }>(
    '{ pipelines(first: 1) { edges { node { statuses { id category } } } } }',
  );
  const status = (category: string): string | undefined => nodes(pipelines)[0]?.statuses.find((one) => one.category === category)?.id;
  return { openStatusId: status('OPEN'), closedStatusId: status('CLOSED') };
}

/** Locks them as somebody who is at work with them does; the answer lets go. */
async function hold({ db }: Ground, held: readonly Before[]): Promise<() => Promise<void>> {
  const [locked, done] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const transaction = db.transaction().execute(async (tx) => {
    await sql`set local transaction_timeout = 0`.execute(tx);
    await sql`select id from conversation where id = any(${held.map(({ id }) => id)}::uuid[]) order by id for no key update`.execute(tx);
    locked.resolve();
    await done.promise;
  });
  await Promise.race([locked.promise, transaction]);
  return async () => {
    done.resolve();
    await transaction;
  };
}

async function openMove({ stack }: Ground, page: Page, key: string): Promise<void> {
  await page.goto(`${stack.addresses.temporalUi ?? ''}/namespaces/default/workflows/channel-migration%2F${key}`);
}

/** Of the page's two frames, the summary's and this, what the workflow says of itself now. */
async function details(page: Page): Promise<FrameLocator> {
  await page
    .getByRole('link', { name: 'User Metadata' })
    .or(page.getByRole('tab', { name: 'User Metadata' }))
    .first()
    .click();
  const frame = page.frameLocator('iframe >> nth=1');
  await frame.locator('strong').first().waitFor();
  return frame;
}

const text = async (frame: FrameLocator): Promise<string> => ((await frame.locator('body').textContent()) ?? '').replaceAll(/\s+/g, ' ').trim();
/** Of the table: found, moved, still to move, left over, arrived meanwhile. */
const cells = (frame: FrameLocator): Promise<string[]> => frame.locator('td').allTextContents();

async function words(frame: FrameLocator): Promise<{ readonly when: string; readonly withdraw: boolean }> {
  return { when: (await frame.locator('strong').first().textContent()) ?? '', withdraw: (await text(frame)).includes('it can be withdrawn') };
}

async function stateOf(admin: Api, id: string): Promise<string> {
  return (await admin.run<{ channelMigration: { state: string } }>('query ($id: ID!) { channelMigration(id: $id) { state } }', { id })).channelMigration.state;
}

/** How many are still to be moved; null: it has not begun. */
async function remaining(admin: Api, id: string): Promise<number | null> {
  const { channelMigration } = await admin.run<{ channelMigration: { state: string; progress: { remaining: number } | null } }>(
    'query ($id: ID!) { channelMigration(id: $id) { state progress { remaining } } }',
    { id },
  );
  return channelMigration.state === 'RUNNING' ? (channelMigration.progress?.remaining ?? null) : null;
}

async function noticesOf(api: Api): Promise<readonly Notice[]> {
  const asked = 'channelName since by { name } found moved remaining own { moved toMove unassigned } migration { id }';
  return (await api.run<{ notices: readonly Notice[] }>(`{ notices { ${asked} } }`)).notices;
}

/** What each is told while it runs, next to what the rows from before the move say of their own conversations. */
async function seeNotices(
  look: Look,
  viewers: readonly Viewer[],
  { before, held, withAccess }: { readonly before: readonly Before[]; readonly held: readonly Before[]; readonly withAccess: ReadonlySet<string> },
): Promise<void> {
  const ids = new Set(held.map(({ id }) => id));
  for (const { role, rowId, api } of viewers) {
    const [notice] = await noticesOf(api);
    if (notice === undefined) {
      look.see(`the ${role} is told of the move`, false, true);
      continue;
    }
    const { channelName, since, by, found, moved, remaining: left, own, migration } = notice;
    console.log(
      `     ${role}: “${channelName}” moves to the help desk since ${since.slice(11, 16)} UTC, started by ${by.name}: ${moved} of ${found} moved, ${left} to move. ` +
        `Yours: ${own.moved} moved, ${own.toMove} to move, ${own.unassigned} nobody’s since. ${migration === null ? 'The move itself is not theirs to see.' : 'With a link to the move.'}`,
    );
    const theirs = before.filter((one) => rowId !== null && one.owner_id === rowId);
    const gone = theirs.filter((one) => !ids.has(one.id));
    const lost = withAccess.has(rowId ?? '') ? [] : gone.filter((one) => one.ticket_id === null);
    look.see(
      `the ${role} is told how far it is and how their own fare${rowId === null ? ', of which there are none, and who may see the move itself' : ', to the number'}`,
      { channelName, found, moved, left, own, seesMove: migration !== null },
      {
        channelName: `Mail ${SEED}`,
        found: before.length,
        moved: before.length - held.length,
        left: held.length,
        own: { moved: gone.length, toMove: theirs.length - gone.length, unassigned: lost.length },
        seesMove: rowId === null,
      },
    );
    if (rowId !== null) look.see(`the ${role} has some that moved and some that did not`, gone.length > 0 && theirs.length > gone.length, true);
  }
}

interface Told {
  readonly report: Readonly<Record<'found' | 'movedWithTicket' | 'movedWithNewTicket' | 'leftOver' | 'arrived' | 'cancelsSurvived' | 'unassigned', number>> & {
    readonly addsUp: boolean;
  };
  readonly recount: { readonly agrees: boolean; readonly astray: number; readonly inInbox: number };
}

/** The report an admin reads afterwards, next to the rows from before. */
async function seeReport(look: Look, admin: Api, id: string, before: readonly Before[]): Promise<void> {
  const { channelMigration } = await admin.run<{ channelMigration: Told }>(
    `query ($id: ID!) { channelMigration(id: $id) {
      report { found movedWithTicket movedWithNewTicket leftOver arrived cancelsSurvived unassigned addsUp } recount { agrees astray inInbox } } }`,
    { id },
  );
  console.table({ ...channelMigration.report, ...channelMigration.recount });
  const withTicket = before.filter((one) => one.ticket_id !== null).length;
  const { unassigned: _unassigned, ...report } = channelMigration.report;
  look.see('its report adds up to what was there before, and counts the cancel it survived', report, {
    found: before.length,
    movedWithTicket: withTicket,
    movedWithNewTicket: before.length - withTicket,
    leftOver: 0,
    arrived: 1,
    cancelsSurvived: 1,
    addsUp: true,
  });
  look.see('and a recount of the rows agrees', channelMigration.recount, { agrees: true, astray: 0, inInbox: 0 });
}
