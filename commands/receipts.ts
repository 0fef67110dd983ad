import type { InboundEvent, ReceiptEvent } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { DeliveryState } from '#db/schema.ts';
import { receiptMovesOn } from '#domain/outbox.ts';
import { setHealth } from './channel-health.ts';
import { ownId } from './own-ids.ts';
import type { Unit } from './unit.ts';

const STATES = { sent: 'SENT', delivered: 'DELIVERED', read: 'READ', failed: 'FAILED' } as const;

/** What providers say of messages already sent, and of the channel itself. Receipts never lead back (CH-5). `live`: as the channel's plugin declares it. */
export async function applyReceipts(unit: Unit, channelId: string, live: boolean, events: readonly InboundEvent[]): Promise<void> {
  for (const event of events) {
    if (event.type === 'receipt') await applyReceipt(unit, channelId, event);
    if (event.type === 'health') await setHealth(unit, channelId, event.health, event.reason);
    // Watermarks name no message: they move everything sent to that contact before their moment.
    if (event.type === 'watermark') await applyWatermark(unit, { channelId, live }, event.contact, STATES[event.state], event.through);
  }
}

async function applyReceipt(unit: Unit, channelId: string, event: ReceiptEvent): Promise<void> {
  const row = await unit.tx
    .selectFrom('message')
    .innerJoin('outbound', 'outbound.message_id', 'message.id')
    .innerJoin('conversation', 'conversation.id', 'message.conversation_id')
    .select(['message.id', 'outbound.state', 'conversation.id as conversation_id', 'conversation.ticket_id', 'conversation.place_id'])
    .where('message.channel_id', '=', channelId)
    .where((eb) => eb.or([eb('message.provider_message_id', '=', event.providerMessageId), ...ownId(event.outboundId).map((id) => eb('message.id', '=', id))]))
    .forNoKeyUpdate('outbound')
    .executeTakeFirst();
  const to = STATES[event.state];
  if (row === undefined || !receiptMovesOn(row.state, to)) return;
  await moveTo(
    unit,
    { messageId: row.id, conversationId: row.conversation_id, ticketId: row.ticket_id, placeId: row.place_id, channelId },
    to,
    event.reason ?? null,
  );
}

/**
 * A live page shows a message from the moment it is written, sent or not, and names that moment. Elsewhere the provider names its own, which is never before we began to send:
 * when the row last changed says nothing, for that is later than what it is told of.
 */
async function applyWatermark(
  unit: Unit,
  { channelId, live }: { readonly channelId: string; readonly live: boolean },
  contact: { kind: string; value: string },
  to: DeliveryState,
  through: string,
): Promise<void> {
  const states = live ? ['QUEUED', 'SENDING', 'SENT', 'DELIVERED'] : ['SENT', 'DELIVERED'];
  const begun = live ? sql`m.occurred_at` : sql`coalesce(o.claimed_at, m.occurred_at)`;
  const { rows } = await sql<{ message_id: string; conversation_id: string; ticket_id: string | null; place_id: string; state: string }>`
    select o.message_id, c.id as conversation_id, c.ticket_id, c.place_id, o.state
    from contact_identity i join conversation c on c.contact_id = i.contact_id
    join outbound o on o.conversation_id = c.id and o.channel_id = ${channelId} join message m on m.id = o.message_id
    -- What it names was shown to it in milliseconds.
    where i.kind = ${contact.kind} and i.value = ${contact.value} and o.state = any(${states}::text[]) and date_trunc('milliseconds', ${begun}) <= ${through}
    order by o.arrival for no key update of o`.execute(unit.tx);
  for (const row of rows) {
    if (to === 'DELIVERED' && row.state === 'DELIVERED') continue;
    await moveTo(unit, { messageId: row.message_id, conversationId: row.conversation_id, ticketId: row.ticket_id, placeId: row.place_id, channelId }, to, null);
  }
}

interface SentRef {
  readonly messageId: string;
  readonly conversationId: string;
  readonly ticketId: string | null;
  readonly placeId: string;
  readonly channelId: string;
}

async function moveTo(unit: Unit, ref: SentRef, to: DeliveryState, reason: string | null): Promise<void> {
  const failed = to === 'FAILED';
  await unit.tx
    .updateTable('outbound')
    .set({
      state: to,
      sending_since: null,
      failure_code: failed ? 'Rejected' : null,
      failure_reason: failed ? reason : null,
      can_retry: failed ? false : null,
      updated_at: sql<Date>`now()`,
    })
    .where('message_id', '=', ref.messageId)
    .execute();
  unit.record({ kind: 'DELIVERY_CHANGED', ...ref, why: to });
}
