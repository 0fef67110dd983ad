import type { Capabilities, InboundMessage } from '@trunkline/channel-sdk';
import { sql, type RawBuilder } from 'kysely';
import type { Tx } from '#db/database.ts';
import type { ChatflowKind } from '#db/schema.ts';
import { PERSON_CHOICE, PERSON_LABEL } from '#domain/chatflow.ts';
import { endRuns } from './chatflow-ends.ts';
import type { Unit } from './unit.ts';

/** The channel as far as its chatflows matter. */
interface FlowChannel {
  readonly id: string;
  readonly key: string;
  readonly plugin: string;
  readonly place_id: string;
  readonly enabled: boolean;
}

interface Flow {
  readonly id: string;
  readonly kind: ChatflowKind;
  readonly entry_point: string | null;
  readonly enabled: boolean;
  readonly first_step: string | null;
}

/** What a batch of messages means for chatflows: which begin, begin anew, go on, or are over. Collected message by message, written by a handful of statements. */
export class ChatflowBatch {
  readonly #channel: FlowChannel;
  readonly #flows: readonly Flow[] | null;
  readonly #begun: { readonly conversation_id: string; readonly chatflow_id: string }[] = [];
  readonly #reopened = new Map<string, string>();
  readonly #said = new Set<string>();
  readonly #answered = new Set<string>();

  private constructor(channel: FlowChannel, flows: readonly Flow[] | null) {
    this.#channel = channel;
    this.#flows = flows;
  }

  /** Reads the channel's chatflows, where its plugin has any. */
  static async of(tx: Tx, channel: FlowChannel, { chatflows }: Capabilities): Promise<ChatflowBatch> {
    if (chatflows !== true) return new ChatflowBatch(channel, null);
    const { rows } = await sql<Flow>`
      select id, kind, entry_point, enabled, coalesce(definition ->> 'start', definition ->> 'instantReply') as first_step
      from chatflow where channel_id = ${channel.id}`.execute(tx);
    return new ChatflowBatch(channel, rows);
  }

  /** A conversation begins with this message. `bot`: it is a bot's until it hands off, so no owner is decided yet. */
  begin(conversationId: string, event: InboundMessage): 'bot' | 'people' {
    const flow = this.#choose(event);
    if (flow === undefined) return 'people';
    this.#begun.push({ conversation_id: conversationId, chatflow_id: flow.id });
    return flow.kind === 'BOT' ? 'bot' : 'people';
  }

  /** One that was closed is open again by this message: a bot that had come to its end begins anew. */
  reopen(conversationId: string, event: InboundMessage): void {
    const flow = this.#choose(event);
    if (flow?.kind === 'BOT') this.#reopened.set(conversationId, flow.id);
  }

  /** A message in a conversation that was there: the visitor's may be an answer, one written elsewhere is a person's. */
  add(conversationId: string, event: InboundMessage): void {
    if (this.#flows === null || event.automatic !== undefined) return;
    (event.direction === 'inbound' ? this.#said : this.#answered).add(conversationId);
  }

  /** After the batch's messages are written and what was closed is open. `messageIds`: those of this batch. */
  async write(unit: Unit, messageIds: readonly string[]): Promise<void> {
    if (this.#flows === null) return;
    if (this.#begun.length > 0) await this.#start(unit);
    if (this.#reopened.size > 0) await this.#startAnew(unit, messageIds);
    if (this.#answered.size > 0) await endRuns(unit, [...this.#answered], 'TAKEN_OVER', 'ANSWERED_ELSEWHERE');
    if (this.#said.size > 0) await this.#wake(unit);
  }

  /** By the entry point, else the primary one; off (CH-9), disabled or with nothing to say: none. */
  #choose(event: InboundMessage): Flow | undefined {
    if (this.#flows === null || !this.#channel.enabled || event.direction !== 'inbound' || event.automatic !== undefined || event.contact === null) {
      return undefined;
    }
    const enabled = this.#flows.filter((flow) => flow.enabled);
    const named = event.entryPoint === undefined ? undefined : enabled.find((flow) => flow.entry_point === event.entryPoint);
    const flow = named ?? enabled.find((one) => one.entry_point === null);
    return flow?.first_step == null ? undefined : flow;
  }

  async #start(unit: Unit): Promise<void> {
    const { rows } = await sql<{ conversation_id: string; ticket_id: string | null }>`
      with begun as (
        insert into chatflow_run (conversation_id, chatflow_id, definition, step)
        select n.conversation_id, f.id, f.definition, f.definition ->> 'start'
        from json_to_recordset(${JSON.stringify(this.#begun)}::json) as n (conversation_id uuid, chatflow_id uuid) join chatflow f on f.id = n.chatflow_id
        on conflict do nothing returning conversation_id)
      select c.id as conversation_id, c.ticket_id from begun b join conversation c on c.id = b.conversation_id`.execute(unit.tx);
    for (const row of rows) this.#started(unit, row.conversation_id, row.ticket_id, 'FIRST_MESSAGE');
  }

  /** Only of a bot that nobody was brought in by, and that nobody owns by now; with people it stays with people. */
  async #startAnew(unit: Unit, messageIds: readonly string[]): Promise<void> {
    const wanted = [...this.#reopened].map(([conversation_id, chatflow_id]) => ({ conversation_id, chatflow_id }));
    const { rows } = await sql<{ conversation_id: string; ticket_id: string | null }>`
      update chatflow_run r set chatflow_id = f.id, definition = f.definition, state = 'RUNNING', step = f.definition ->> 'start', answers = '{}', tries = 0,
        seen_arrival = coalesce((select max(m.arrival) from message m where m.conversation_id = r.conversation_id and m.id <> all(${[...messageIds]}::uuid[])), 0),
        wait_until = null, version = r.version + 1, started_at = now(), changed_at = now()
      from json_to_recordset(${JSON.stringify(wanted)}::json) as n (conversation_id uuid, chatflow_id uuid)
      join chatflow f on f.id = n.chatflow_id join conversation c on c.id = n.conversation_id left join ticket t on t.id = c.ticket_id
      where r.conversation_id = n.conversation_id and r.state in ('ENDED', 'ABANDONED') and c.status = 'OPEN'
        and coalesce(c.owner_id, t.owner_id, c.team_id, t.team_id) is null and coalesce(c.route_pending_since, t.route_pending_since) is null
        and r.definition -> 'steps' is not null
      returning r.conversation_id, c.ticket_id`.execute(unit.tx);
    for (const row of rows) this.#started(unit, row.conversation_id, row.ticket_id, 'REOPENED');
  }

  /** Those in which a chatflow goes on. One that has come to its end still heeds the wish for a person, which its last message offered. */
  async #wake(unit: Unit): Promise<void> {
    const ids = [...this.#said];
    const { rows: anew } = await sql<{ conversation_id: string; ticket_id: string | null }>`
      update chatflow_run r set state = 'RUNNING', step = null, version = r.version + 1, changed_at = now()
      from conversation c left join ticket t on t.id = c.ticket_id
      where r.conversation_id = any(${ids}::uuid[]) and r.state = 'ENDED' and c.id = r.conversation_id and c.status = 'OPEN'
        and r.definition -> 'steps' is not null and coalesce(c.owner_id, t.owner_id, c.team_id, t.team_id) is null
        and exists (select 1 from message m where m.conversation_id = c.id and m.arrival > r.seen_arrival and m.direction = 'INBOUND'
          and (m.choice = ${PERSON_CHOICE} or ${asLabel(sql`m.text`)} = ${asLabel(sql`coalesce(r.definition ->> 'personLabel', ${PERSON_LABEL})`)}))
      returning r.conversation_id, c.ticket_id`.execute(unit.tx);
    for (const row of anew) this.#started(unit, row.conversation_id, row.ticket_id, 'PERSON_WANTED');
    const { rows } = await sql<{ conversation_id: string }>`
      select conversation_id from chatflow_run where conversation_id = any(${ids}::uuid[]) and state in ('RUNNING', 'WAITING')`.execute(unit.tx);
    for (const row of rows) this.#wakeOne(unit, row.conversation_id);
  }

  #started(unit: Unit, conversationId: string, ticketId: string | null, why: string): void {
    unit.record({
      kind: 'CHATFLOW_STARTED',
      by: { actor: 'SYSTEM' },
      channelId: this.#channel.id,
      conversationId,
      ticketId,
      placeId: this.#channel.place_id,
      why,
    });
    this.#wakeOne(unit, conversationId);
  }

  #wakeOne(unit: Unit, conversationId: string): void {
    unit.wake({ kind: 'chatflow', conversationId, channelKey: this.#channel.key, plugin: this.#channel.plugin });
  }
}

/** As `labelKey` compares: without regard to case and space. */
function asLabel(text: RawBuilder<unknown>): RawBuilder<string> {
  return sql<string>`lower(btrim(regexp_replace(${text}, '\\s+', ' ', 'g')))`;
}
