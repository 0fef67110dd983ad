import { condition, continueAsNew, proxyActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';
import type { MailRun } from '#activities/system-mail.ts';
import { handleMessages } from './handlers.ts';
import { millisecondsUntil, RETRY } from './options.ts';

// It begins no mail after ten seconds, and each may take thirty; an outcome that is known is held until PostgreSQL takes it.
const { sendSystemMails } = proxyActivities<Activities>({ startToCloseTimeout: '10m', heartbeatTimeout: '15s', retry: RETRY });

/** Sends the account's own mail: notifications, transcripts, tests of the sender (CH-12). Completes when none waits; the next one starts it again. */
export async function systemMail(): Promise<void> {
  let doing = 'sends';
  let sent = 0;
  let last: MailRun | null = null;
  const woken = handleMessages({
    status: () => doing,
    explain: () => ({ sent, remaining: last?.remaining ?? null, heldBy: last?.heldBy ?? null, nextTry: last?.nextTryAtIso ?? null }),
  });

  for (;;) {
    woken.raised = false;
    doing = 'sends';
    last = await sendSystemMails.executeWithOptions({ summary: "sends what waits of the account's own mail" }, []);
    sent += last.sent;
    if (last.remaining === 0 && !woken.raised) break;
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof systemMail>();
    if (last.remaining > 0 && last.nextTryAtIso !== null) {
      const summary = `tries again at ${last.nextTryAtIso}${last.heldBy === null ? '' : `, ${last.heldBy}`}`;
      doing = 'waits';
      setCurrentDetails(`${last.remaining} mails wait to be sent. It ${summary}.`);
      await condition(() => woken.raised, millisecondsUntil(last.nextTryAtIso), { summary });
    }
  }
  doing = 'is done: no mail waits';
  setCurrentDetails(`No mail waits. Sent by this run: ${sent}.`);
}
