import { outboundRefusal, type Capabilities, type MessagingWindow, type OutboundMessage } from '@trunkline/channel-sdk';
import { expect, it } from 'vitest';
import { windowState } from '#domain/messaging-window.ts';

const HOUR = 3_600_000;
const wrote = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
const after = (hours: number, ms = 0) => new Date(wrote.getTime() + hours * HOUR + ms);
const windows: readonly MessagingWindow[] = [
  { sender: 'automation', hours: 24, afterwards: 'nothing' },
  { sender: 'person', hours: 24, afterwards: 'template' },
  { sender: 'person', hours: 168, afterwards: 'nothing' },
];

it('is open from the contact’s last message until the hour the plugin declares, to the millisecond [PLUG-3]', () => {
  expect(windowState(windows, 'automation', wrote, wrote)).toEqual({ openUntil: after(24), closedAt: null, afterwards: 'nothing' });
  expect(windowState(windows, 'automation', wrote, after(24, -1))).toEqual({ openUntil: after(24), closedAt: null, afterwards: 'nothing' });
  expect(windowState(windows, 'automation', wrote, after(24))).toEqual({ openUntil: null, closedAt: after(24), afterwards: 'nothing' });
});

it('a person has the widest of theirs, and a template afterwards where any of them says so [PLUG-3]', () => {
  expect(windowState(windows, 'person', wrote, after(100))).toEqual({ openUntil: after(168), closedAt: null, afterwards: 'template' });
  expect(windowState(windows, 'person', wrote, after(168))?.closedAt).toEqual(after(168));
});

it('there is none where none is declared for the sender, or the contact never wrote there [PLUG-3]', () => {
  expect(windowState(windows.slice(1), 'automation', wrote, after(1_000))).toBeNull();
  expect(windowState(windows, 'person', null, after(1_000))).toBeNull();
  expect(windowState([], 'person', wrote, after(1_000))).toBeNull();
});

it('says the same as a plugin’s own first line, at every minute around the end [PLUG-3]', () => {
  const capabilities = { outboundContent: { maxTextLength: null, html: false, subject: false, attachments: null }, windows } as unknown as Capabilities;
  for (const sender of ['person', 'automation'] as const) {
    const message = { sender, text: 'x', attachments: [], lastInboundAt: wrote.toISOString() } as unknown as OutboundMessage;
    for (let minute = -3; minute <= 3; minute += 1) {
      const now = after(sender === 'person' ? 168 : 24, minute * 60_000);
      const refused = outboundRefusal(message, capabilities, now.getTime());
      const closedAt = windowState(windows, sender, wrote, now)?.closedAt ?? null;
      expect(refused).toEqual(closedAt === null ? undefined : { code: 'OutsideWindow', closedAt: closedAt.toISOString() });
    }
  }
});
