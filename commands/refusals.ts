import type { MoveObstacle } from './migration-obstacles.ts';

/**
 * What a command may refuse, as classes: the transaction is rolled back, the caller gets the data, and the API makes each
 * a typed result. Messages hold ids and the caller's own input at most, so they may be logged.
 */
export abstract class Refusal extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

/** It does not exist, or the caller may not see it (API-6). */
export class NotFound extends Refusal {
  readonly what: string;
  readonly id: string;
  constructor(what: string, id: string) {
    super(`there is no ${what} with the id ${id}`);
    this.what = what;
    this.id = id;
  }
}

/** The caller sees it but may not do this. `needs` says what they lack. */
export class Forbidden extends Refusal {
  readonly needs: string;
  constructor(needs: string) {
    super(`this needs ${needs}`);
    this.needs = needs;
  }
}

export interface Problem {
  /** Where: 'settings.smtp.port'. */
  readonly path: string;
  readonly message: string;
}

/** Every wrong field in one answer (CH-3). */
export class InvalidInput extends Refusal {
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(`invalid input: ${problems.map((one) => `${one.path}: ${one.message}`).join('; ')}`);
    this.problems = problems;
  }
}

/** Another connected channel, or a user, has this address (CH-2). */
export class AddressTaken extends Refusal {
  readonly channelKey: string | null;
  constructor(channelKey: string | null) {
    super(channelKey === null ? 'this address is the mailbox of a user' : `channel ${channelKey} has this address already`);
    this.channelKey = channelKey;
  }
}

/** The channel's provider said no (`REJECTED`), or could not be asked now (`UNAVAILABLE`). `reason`: its code or a fixed phrase of the plugin's. */
export class ProviderRefused extends Refusal {
  readonly code: 'REJECTED' | 'UNAVAILABLE';
  readonly reason: string;
  constructor(code: ProviderRefused['code'], reason: string) {
    super(`the provider of the channel: ${code}: ${reason}`);
    this.code = code;
    this.reason = reason;
  }
}

/** A name or address that must be unique is in use. */
export class AlreadyExists extends Refusal {
  readonly what: string;
  constructor(what: string) {
    super(`there is already such a ${what}`);
    this.what = what;
  }
}

/** Somebody else changed it first; `ownerId` is who has it now, where that is what changed. */
export class ChangedMeanwhile extends Refusal {
  readonly what: string;
  readonly ownerId: string | null;
  constructor(what: string, ownerId: string | null = null) {
    super(`the ${what} was changed by somebody else meanwhile`);
    this.what = what;
    this.ownerId = ownerId;
  }
}

export interface IneligibleTarget {
  readonly userId: string | null;
  readonly teamId: string | null;
  readonly reason: 'NO_SEAT' | 'NO_ACCESS' | 'DEACTIVATED' | 'UNKNOWN' | 'NO_PRIMARY_MEMBER';
}

/** Users or teams that can not be assigned, each with why (ROUTE-3, ROUTE-4). */
export class NotAssignable extends Refusal {
  readonly targets: readonly IneligibleTarget[];
  constructor(targets: readonly IneligibleTarget[]) {
    super(`can not be assigned: ${targets.map((one) => `${one.userId ?? one.teamId ?? '?'} (${one.reason})`).join(', ')}`);
    this.targets = targets;
  }
}

/** The channel can not do this: it is disconnected, or its plugin can not send or start conversations. */
export class NotPossible extends Refusal {
  readonly reason:
    | 'CHANNEL_DISCONNECTED'
    | 'CHANNEL_CANNOT_SEND'
    | 'CHANNEL_CANNOT_START'
    | 'NO_CONTACT'
    | 'HAS_TICKET'
    | 'NOT_WAITING'
    | 'DELIVERY_NOT_KEPT'
    | 'NO_SENDER'
    | 'RECIPIENT_GONE'
    | 'NO_TRANSCRIPT'
    | 'NO_ADDRESS'
    | 'TOO_MANY_TRANSCRIPTS'
    | 'NO_CHATFLOWS'
    | 'CHATFLOW_IS_PRIMARY'
    | 'CHATFLOW_WAS_USED'
    | 'SKILL_IN_USE'
    | 'CALENDAR_IN_USE'
    | 'WEBHOOK_IN_USE'
    | 'CHANNEL_SHOWS_NO_TYPING';
  constructor(reason: NotPossible['reason']) {
    super(`not possible: ${reason}`);
    this.reason = reason;
  }
}

/** The channel can not be moved to the help desk, each with why (MIG-2, MIG-5). */
export class ChannelNotMovable extends Refusal {
  readonly obstacles: readonly MoveObstacle[];
  constructor(obstacles: readonly MoveObstacle[]) {
    super(`the channel can not be moved: ${obstacles.map((one) => one.code).join(', ')}`);
    this.obstacles = obstacles;
  }
}

/** Another channel, or this one, is being moved: one at a time (MIG-3). */
export class MigrationAlreadyRunning extends Refusal {
  readonly migrationId: string;
  readonly channelId: string;
  constructor(migrationId: string, channelId: string) {
    super(`the move ${migrationId} is running`);
    this.migrationId = migrationId;
    this.channelId = channelId;
  }
}

/** A move that has started is not withdrawn (MIG-7, MIG-14). */
export class AlreadyStarted extends Refusal {
  readonly migrationId: string;
  constructor(migrationId: string) {
    super(`the move ${migrationId} has started`);
    this.migrationId = migrationId;
  }
}

/** Answers go through another channel, and there is none to choose, or several of which the answer names none (FORM-3). */
export class NoReplyChannel extends Refusal {
  readonly reason: 'NONE_CONNECTED' | 'CHOOSE_ONE';
  constructor(reason: NoReplyChannel['reason']) {
    super(reason === 'NONE_CONNECTED' ? 'no connected channel can carry the answer' : 'several channels can carry the answer: name one');
    this.reason = reason;
  }
}

/** The contact wrote too long ago: free words are not delivered any more (PLUG-3). */
export class OutsideWindow extends Refusal {
  readonly closedAt: Date;
  /** Whether an approved template may still be sent. */
  readonly templates: boolean;
  constructor(closedAt: Date, templates: boolean) {
    super(`the time to answer was over at ${closedAt.toISOString()}`);
    this.closedAt = closedAt;
    this.templates = templates;
  }
}

/** A file that can not be attached: `most` is the limit, in files or bytes, where there is one. */
export interface RefusedFile {
  readonly uploadId: string;
  readonly code: 'NOT_FOUND' | 'NONE_TAKEN' | 'TYPE_NOT_TAKEN' | 'TOO_MANY' | 'TOO_LARGE' | 'TOO_LARGE_TOGETHER';
  readonly most: number | null;
  /** Why, for people. */
  readonly reason: string;
}

/** Files that the channel does not take, or that are no unused uploads of the caller's, each with why (CH-6). */
export class FilesRefused extends Refusal {
  readonly files: readonly RefusedFile[];
  constructor(files: readonly RefusedFile[]) {
    super(`can not be attached: ${files.map((one) => `${one.uploadId} (${one.code})`).join(', ')}`);
    this.files = files;
  }
}

/** The same idempotency key came with another operation or other arguments (API-4). */
export class IdempotencyKeyReused extends Refusal {
  readonly operation: string;
  constructor(operation: string) {
    super(`this idempotency key was used for ${operation} with other arguments`);
    this.operation = operation;
  }
}

/** The feed no longer reaches back to this cursor, or it is not one of ours (API-3). */
export class CursorTooOld extends Refusal {
  constructor() {
    super('the feed does not reach back to this cursor: read the state anew and go on from its newest event');
  }
}
