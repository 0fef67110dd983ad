import type { Browser, Page } from 'playwright-core';
import { eventually } from '#scripts/demo/graphql.ts';
import { hire, openGround, type Ground } from '../e2e/ground.ts';
import type { Look } from './form.ts';

const SUPPORT = 'support@acme.example';
const WEEK = ['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY'];

interface PreviewDay {
  readonly date: string;
  readonly minutes: number;
  readonly minutesSoFar: number;
  readonly shift: string | null;
  readonly stretches: readonly { readonly fromClock: string; readonly toClock: string }[];
}

/** What an admin is told of a deadline day by day, and what an operator reads in Temporal UI of a ticket that waits for one, and missed one. */
export async function lookAtSla(browser: Browser, look: Look): Promise<void> {
  const ground = await openGround({ ports: { temporalUi: 8233 } });
  try {
    const { admin, outside } = ground;
    const ada = await hire(ground, 'Ada');
    await ground.connect({ name: 'Support', address: SUPPORT, userIds: [ada.id] });
    const periods = WEEK.map((weekday) => ({ weekday, from: '00:00', to: '24:00' }));
    const { calendar } = await admin.do<{ calendar: { id: string } }>('saveBusinessCalendar', '... on SavedBusinessCalendar { calendar { id } }', {
      name: 'Round the clock in Berlin',
      timeZone: 'Europe/Berlin',
      periods,
      applyTo: 'NEW_TICKETS',
    });
    const { policy } = await admin.do<{ policy: { id: string; number: number } }>('saveSlaPolicy', '... on SavedSlaPolicy { policy { id number } }', {
      name: 'Everybody',
      calendarId: calendar.id,
      targets: [
        { goal: 'FIRST_REPLY', minutes: 1, dueSoonMinutes: 0 },
        { goal: 'CLOSE', minutes: 480, dueSoonMinutes: 60 },
      ],
      applyTo: 'NEW_TICKETS',
    });
    await previewWeek(ground, look);
    const number = await arrives(ground);
    const page = await browser.newPage({ viewport: { width: 1400, height: 1100 } });
    await openTicket(ground, page, number);
    await page.getByText(`first reply due`).first().waitFor();
    const waiting = await page.locator('body').innerText();
    look.see(
      'a timer in Temporal UI says what is due when, by which policy',
      new RegExp(`first reply due \\w{3} \\d+ \\w{3} \\d\\d:\\d\\d Europe/Berlin, policy ${policy.number}`).test(waiting),
      true,
    );
    await look.shot(page, 'temporal-sla-timer');
    const missed = () => ground.db.selectFrom('sla_goal').select('kind').where('overdue_fired_at', 'is not', null).executeTakeFirst();
    await eventually('the goal is missed', missed, 120_000);
    await openTicket(ground, page, number);
    await page
      .getByRole('link', { name: 'User Metadata' })
      .or(page.getByRole('tab', { name: 'User Metadata' }))
      .first()
      .click();
    const goals = page.frameLocator('iframe >> nth=1').locator('body');
    await goals.getByText('overdue').first().waitFor();
    const said = ((await goals.textContent()) ?? '').replaceAll(/\s+/g, ' ').trim();
    console.log(`     ${said}`);
    look.see(
      'the details of a ticket name all its goals, the missed one too',
      [
        /first reply \(policy \d+\) is overdue since \w{3} \d+ \w{3} \d\d:\d\d Europe\/Berlin/.test(said),
        /close \(policy \d+\) is due \w{3} \d+ \w{3} \d\d:\d\d Europe\/Berlin/.test(said),
      ],
      [true, true],
    );
    look.see('and name nobody', /Ada|Mia|customer|Second|Everybody/.test(`${waiting} ${said}`), false);
    await look.shot(page, 'temporal-sla');
    await page.close();
    await outside.close();
    look.see('every invariant holds afterwards', await ground.broken(), []);
  } finally {
    await ground.close();
  }
}

/** A week in which the clocks are put forward, as an admin reads it. */
async function previewWeek({ admin }: Ground, look: Look): Promise<void> {
  const { previewSla } = await admin.run<{ previewSla: { goals: readonly { dueAt: string; days: readonly PreviewDay[] }[] } }>(
    `query ($policy: SlaPolicyDraft!, $calendar: BusinessCalendarDraft!) { previewSla(policy: $policy, calendar: $calendar, at: "2026-03-27T08:00:00Z", priority: HIGH) { ... on SlaPreview {
      goals { dueAt days { date minutes minutesSoFar shift stretches { fromClock toClock } } } } } }`,
    {
      policy: { targets: [{ goal: 'CLOSE', minutes: 48 * 60 }] },
      calendar: { timeZone: 'Europe/Berlin', periods: WEEK.map((weekday) => ({ weekday, from: '00:00', to: '12:00' })) },
    },
  );
  const [goal] = previewSla.goals;
  const table = (goal?.days ?? []).map(({ date, stretches, minutes, minutesSoFar, shift }) => ({
    date,
    'when time counts': stretches.map(({ fromClock, toClock }) => `${fromClock}–${toClock}`).join(', '),
    minutes,
    'so far': minutesSoFar,
    '': shift ?? '',
  }));
  console.table(table);
  look.see(
    'a preview of a week in which the clocks are put forward gives the night that loses an hour one less',
    table.map((row) => [row.date, row.minutes, row['']]),
    [
      ['2026-03-27', 180, ''],
      ['2026-03-28', 720, ''],
      ['2026-03-29', 660, 'the clocks are put forward by 1 hour'],
      ['2026-03-30', 720, ''],
      ['2026-03-31', 600, ''],
    ],
  );
}

async function openTicket({ stack }: Ground, page: Page, number: number): Promise<void> {
  await page.goto(`${stack.addresses.temporalUi ?? ''}/namespaces/default/workflows/ticket%2F${number}`);
}

/** A mail by a real client, until its ticket has an owner; the ticket's number. */
async function arrives({ outside, db }: Ground): Promise<number> {
  await outside.send({ from: 'second@customer.example', name: 'Mia', to: SUPPORT, subject: 'Second', text: 'It does not turn on.' });
  return eventually('the owner of a ticket', async () => {
    const ticket = await db.selectFrom('ticket').select('number').where('owner_id', 'is not', null).executeTakeFirst();
    return ticket?.number;
  });
}
