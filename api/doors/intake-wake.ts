import { sql } from 'kysely';
import { announceDelivery } from '#db/announce.ts';
import type { Db } from '#db/database.ts';
import { startRequest, type Waker } from '#workflows/contract.ts';

/** A delivery that was just stored. */
export interface StoredFor {
  readonly channelId: string;
  readonly channelKey: string;
  readonly plugin: string;
  readonly deliveryId: number;
  /** What the storing statement read of the channel: its intake is draining now. */
  readonly intakeRunning: boolean;
}

export interface IntakeWake {
  /** Returns at once and never throws: the provider has its answer already. */
  stored(delivery: StoredFor): void;
  /** Ends what is planned; resolves when the wakes under way have ended. */
  close(): Promise<void>;
}

export interface IntakeWakeDeps {
  readonly db: Db;
  readonly waker: Waker;
  readonly log: (message: string, fields: Readonly<Record<string, string>>) => void;
  /** Milliseconds until it is looked whether a running intake took the delivery. */
  readonly lookAfterMs?: number;
  /** Milliseconds a wake may take: with Temporal down a call may wait for long. */
  readonly wakeTimeoutMs?: number;
  /** Milliseconds between two wakes of one channel: what comes meanwhile shares the next. */
  readonly gapMs?: number;
}

interface Watched {
  readonly channelId: string;
  readonly channelKey: string;
  readonly plugin: string;
  /** A wake is on its way; `again`: something came meanwhile that it may have missed. */
  waking: boolean;
  again: boolean;
  timer: NodeJS.Timeout | undefined;
  /** The newest delivery when the timer was set, and the newest by now. */
  lookFor: number;
  newest: number;
}

/**
 * Wakes a channel's intake, coalesced: an idle one at once, a running one only when after a second it has not taken the delivery, so a busy
 * channel costs Temporal nearly nothing. A wake that fails is tried again by looking later; what is lost altogether the guardian finds (OPS-10).
 */
export function createIntakeWake({ db, waker, log, lookAfterMs = 1_000, wakeTimeoutMs = 10_000, gapMs = 50 }: IntakeWakeDeps): IntakeWake {
  const watched = new Map<string, Watched>();
  const underWay = new Set<Promise<void>>();
  const closing = Promise.withResolvers<void>();
  let closed = false;

  function track(work: Promise<void>): void {
    underWay.add(work);
    void work.finally(() => underWay.delete(work));
  }

  async function wake(channel: Watched): Promise<void> {
    channel.waking = true;
    do {
      channel.again = false;
      if (!(await wakeOnce(channel))) lookLater(channel);
      await within(gapMs, closing.promise);
    } while (channel.again && !closed);
    channel.waking = false;
    forget(channel);
  }

  async function wakeOnce({ channelKey, plugin }: Watched): Promise<boolean> {
    try {
      const asked = waker.signalWithStart(startRequest({ kind: 'intake', channelKey, plugin })).then(() => true);
      const answer = Promise.race([asked, closing.promise]);
      if ((await within(wakeTimeoutMs, answer)) === true) return true;
    } catch {
      // Said below, like one that took too long.
    }
    log('an intake was not woken', { channel: channelKey });
    return false;
  }

  function lookLater(channel: Watched): void {
    if (channel.timer !== undefined || closed) return;
    channel.lookFor = channel.newest;
    channel.timer = setTimeout(() => {
      channel.timer = undefined;
      track(look(channel));
    }, lookAfterMs);
    channel.timer.unref();
  }

  async function look(channel: Watched): Promise<void> {
    // Only what has had its second: on a busy channel something always came just now.
    const waits = await stillWaits(channel.channelId, channel.lookFor);
    if (channel.newest > channel.lookFor) lookLater(channel);
    if (waits) start(channel);
    forget(channel);
  }

  async function stillWaits(channelId: string, deliveryId: number): Promise<boolean> {
    try {
      const { rows } = await sql<{ waits: boolean }>`
        select exists (select 1 from raw_delivery where channel_id = ${channelId} and id <= ${deliveryId} and state = 'WAITING') as waits`.execute(db);
      return rows[0]?.waits === true;
    } catch {
      return true;
    }
  }

  function start(channel: Watched): void {
    if (channel.waking) channel.again = true;
    else if (!closed) track(wake(channel));
  }

  function forget(channel: Watched): void {
    if (!channel.waking && channel.timer === undefined) watched.delete(channel.channelId);
  }

  return {
    stored({ channelId, channelKey, plugin, deliveryId, intakeRunning }) {
      if (closed) return;
      const channel = watched.get(channelId) ?? { channelId, channelKey, plugin, waking: false, again: false, timer: undefined, lookFor: 0, newest: 0 };
      watched.set(channelId, channel);
      channel.newest = Math.max(channel.newest, deliveryId);
      if (intakeRunning) {
        announceDelivery(db, channelKey);
        lookLater(channel);
      } else start(channel);
    },
    async close() {
      closed = true;
      closing.resolve();
      for (const { timer } of watched.values()) clearTimeout(timer);
      await Promise.all(underWay);
    },
  };
}

/** What a promise gives, or undefined when that takes longer. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
