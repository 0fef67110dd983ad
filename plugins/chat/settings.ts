import { z } from 'zod';
import { hoursSchema } from './hours.ts';

const DEFAULT_ACCENT = '#1d4ed8';
/** Characters of an avatar that stands in the settings themselves: a picture of about 24 kB. */
const MAX_AVATAR_LENGTH = 32_768;

const line = (longest: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(longest)
    .regex(/^[^\u0000-\u001f\u007f]*$/, 'must be one line');
const words = z.string().trim().min(1).max(2_000);

const channelKey = z.string().regex(/^[a-z0-9-]{3,60}$/, 'must be the key of a channel');

/** `https://acme.com`, as a browser says where a page is from. */
const origin = z.string().transform((text, context) => {
  if (text === '*') return text;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`) return url.origin;
  context.addIssue({ code: 'custom', message: 'must be an origin like https://acme.com, without a path, or *' });
  return z.NEVER;
});

/** No SVG: it is a document, and what shows it would have to be trusted not to run it. */
const avatar = z
  .string()
  .trim()
  .refine(
    (text) =>
      (text.length <= 2_000 && URL.canParse(text) && new URL(text).protocol === 'https:') ||
      (text.length <= MAX_AVATAR_LENGTH && /^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}$/.test(text)),
    `must be an address that begins with https://, or a PNG, JPEG, GIF or WebP picture as data:image/…;base64 of at most ${MAX_AVATAR_LENGTH} characters`,
  );

const transcript = z.strictObject({
  /** Mailed when the conversation is closed. */
  onClose: z.boolean().default(false),
  /** The visitor may ask for it. */
  onRequest: z.boolean().default(true),
  /** The key of the channel it is mailed by; none: the account's own sender. */
  from: channelKey.optional(),
});

const shape = z.strictObject({
  /** The connected address of the widget; made from the title unless given, and kept from then on. */
  widgetId: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?$/, 'must be 1 to 60 lower-case letters, digits and dashes')
    .optional(),
  /** What stands at the head of the widget. */
  title: line(80),
  /** Said to everybody who opens it; never stored as a message. */
  greeting: words.optional(),
  accent: z
    .string()
    .toLowerCase()
    .regex(/^#[0-9a-f]{6}$/, 'must be a colour like #1d4ed8')
    .default(DEFAULT_ACCENT),
  position: z.enum(['left', 'right'], { error: 'must be left or right' }).default('right'),
  avatar: avatar.optional(),
  /** When visitors are told that somebody is there (CHAT-3). `agents`: while one of those whom the channel's rule names is available. */
  availability: z.enum(['always', 'hours', 'agents'], { error: 'must be always, hours or agents' }).default('always'),
  hours: hoursSchema.optional(),
  awayMessage: words.default('We are not here at the moment. Leave us a message, and we will come back to you.'),
  /** Asks for a mail address when away, so that the answer reaches the visitor. */
  asksEmail: z.boolean().default(true),
  closedMessage: words.default('This chat is closed at the moment.'),
  /** Sites whose pages may carry the widget; none named, or `*`: all. */
  allowedOrigins: z.array(origin).max(50).default([]),
  /** The key of the channel by which answers go once the visitor has left, unless the agent names another. */
  replyChannel: channelKey.optional(),
  transcript: transcript.prefault({}),
});

/** What an admin types (CHAT-1, CHAT-3, CHAT-4). Every wrong field is one issue with its path; what comes out, put in again, comes out the same. */
export const settingsSchema = shape
  .superRefine(
    ({ availability, hours }, context) => {
      if (availability === 'hours' && hours === undefined)
        context.addIssue({ code: 'custom', path: ['hours'], message: 'is needed where availability is "hours"' });
    },
    // Also where another field is wrong: all that is wrong stands in one answer. What is no object at all has no fields.
    { when: ({ value }) => typeof value === 'object' && value !== null },
  )
  .transform((settings) => ({ ...settings, widgetId: settings.widgetId ?? slug(settings.title) }));

export type ChatSettings = z.output<typeof settingsSchema>;

/** Letters and digits of the title; the same title gives the same, so that a second try to connect it is found out. */
function slug(title: string): string {
  const letters = title
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-');
  return letters.replace(/^-+/, '').slice(0, 60).replace(/-+$/, '') || `chat-${Buffer.from(title).toString('hex').slice(0, 55)}`;
}
