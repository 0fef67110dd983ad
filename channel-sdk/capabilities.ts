/** The kinds of identity the engine itself knows; a plugin names which of them its contacts have. */
export const IDENTITY_KINDS = ['email-address', 'phone-number', 'scoped-id', 'visitor'] as const;
export type IdentityKind = (typeof IDENTITY_KINDS)[number];

/** Which capacity a conversation of this channel counts against. */
export const ROUTING_GROUPS = ['voice', 'messaging', 'written'] as const;
export type RoutingGroup = (typeof ROUTING_GROUPS)[number];

/** How the rule "specific users and teams" picks one. */
export const ROUTING_METHODS = ['random', 'least-busy'] as const;
export type RoutingMethod = (typeof ROUTING_METHODS)[number];

/** What may still be sent, by whom and until when after the contact's last message. */
export interface MessagingWindow {
  /** A person answering by hand, or an automation (bot, on-close message, SLA action). */
  readonly sender: 'person' | 'automation';
  /** Hours after the contact's last message in which free content may be sent. */
  readonly hours: number;
  /** What may be sent once it has closed. */
  readonly afterwards: 'nothing' | 'template';
}

/** A send rate the provider enforces; the engine keeps to it, the plugin need not. */
export interface SendRate {
  /** Messages per second from the connected address. */
  readonly accountPerSecond?: number;
  /** Seconds between two messages to one recipient. */
  readonly recipientSeconds?: number;
}

export interface AttachmentLimits {
  readonly maxCount: number;
  /** Bytes of one attachment. */
  readonly maxBytes: number;
  /** Bytes of all of one message together; absent: as many as there may be. */
  readonly maxTotalBytes?: number;
  /** MIME types, or '*' for any. */
  readonly types: readonly string[] | '*';
}

/**
 * What the engine may rely on: plain JSON, so that it can be stored, shown and compared. It must say the same as the
 * functions that are there; `definePlugin` refuses a plugin whose capabilities and functions disagree.
 */
export interface Capabilities {
  /** The identity kinds its contacts have; the first is the one it sends to. */
  readonly identities: readonly [IdentityKind, ...IdentityKind[]];
  /** What a connected address is. `opaque`: a form, a page, a widget. Email addresses are claimed together with users' own mailboxes (CH-2). */
  readonly address: IdentityKind | 'opaque';
  /** `participant`: one thread for each contact. `thread-id`: the provider, or the mail's headers, name the thread. */
  readonly threading: 'participant' | 'thread-id';
  /** Thread keys alone do not join: the sender must already take part in the conversation (EMAIL-5). A bounce joins all the same: the machine that returns a mail takes part in nothing. */
  readonly joinsParticipantsOnly: boolean;
  /** How deliveries come in. */
  readonly inbound: readonly ('webhook' | 'listener' | 'page' | 'catch-up')[];
  /** Bytes of one delivery; more is refused at the door. */
  readonly maxDeliveryBytes: number;
  /** `none`: nothing can be sent. `reply`: into a conversation that exists. `start`: also the first message of one (CH-11). */
  readonly outbound: 'none' | 'reply' | 'start';
  readonly outboundContent: {
    /** Characters, or null for no limit. */
    readonly maxTextLength: number | null;
    readonly html: boolean;
    readonly subject: boolean;
    readonly attachments: AttachmentLimits | null;
  };
  /** What a contact may attach; more is refused with the reason, the message is kept (CH-6). Absent: as `outboundContent.attachments`. */
  readonly inboundAttachments?: AttachmentLimits;
  /** Delivery states it reports beyond the send's own answer. */
  readonly receipts: readonly ('sent' | 'delivered' | 'read' | 'failed')[];
  readonly windows: readonly MessagingWindow[];
  readonly templates: boolean;
  readonly typing: boolean;
  /** Its pages hold a conversation that goes on now: they keep a stream open and write often, agents see who is here and who is writing (CHAT-2, CHAT-6). */
  readonly live?: boolean;
  /** Its live pages show what the engine has written, and there is nowhere else to bring it: what a person answers counts as sent with that, in the same transaction. `send` is called for the rest: what automations say, and what is queued again. */
  readonly shownByPage?: boolean;
  /** Its channels run a chatflow: the engine answers by steps before people do (CHAT-5). */
  readonly chatflows?: boolean;
  /** Choices that can be offered under a message, and how long each may be; absent: none, they are written out as a list. */
  readonly quickReplies?: { readonly maxCount: number; readonly maxLength: number };
  /** Asks for consent before anything is taken in (FB-4): the engine holds deliveries back and the plugin can send `kind: 'consent'`. */
  readonly consent?: boolean;
  /** Answers go, or go once the visitor has left, by another channel that can start a conversation with this kind of identity (FORM-3, CHAT-3). */
  readonly repliesThrough?: IdentityKind;
  readonly routing: { readonly group: RoutingGroup; readonly defaultMethod: RoutingMethod };
  readonly sendRate: SendRate;
  /** Whether a channel can be moved from an inbox to the help desk; if not, the reason told to an admin. */
  readonly movable: { readonly allowed: true } | { readonly allowed: false; readonly reason: string };
  /** Realtime control of calls: `verify` asks, the engine decides, `answerCall` says it in the provider's words. */
  readonly callControl: boolean;
}
