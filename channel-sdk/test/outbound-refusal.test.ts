import { describe, expect, it } from 'vitest';
import { outboundRefusal, type Capabilities, type OutboundMessage } from '../index.ts';
import { capabilities } from './fake-plugin.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const HOUR = 3_600_000;

const limited: Capabilities = {
  ...capabilities,
  outbound: 'reply',
  outboundContent: { maxTextLength: 5, html: false, subject: false, attachments: { maxCount: 2, maxBytes: 10, maxTotalBytes: 15, types: ['image/png'] } },
  windows: [
    { sender: 'person', hours: 24, afterwards: 'template' },
    { sender: 'person', hours: 168, afterwards: 'nothing' },
    { sender: 'automation', hours: 24, afterwards: 'nothing' },
  ],
};

function message(more: Partial<OutboundMessage> = {}): OutboundMessage {
  const to = { kind: 'visitor', value: 'visitor-1' } as const;
  const empty = { cc: [], subject: null, html: null, author: null, precedingIds: [], inReplyTo: null, attachments: [] };
  return { id: 'message-1', kind: 'reply', to, text: 'Hello', sender: 'person', ...empty, ...more };
}

function file(bytes: number, type = 'image/png') {
  return { fileName: 'a.png', type, bytes, read: () => Promise.reject(new Error('nobody reads it')) };
}

const hoursAgo = (hours: number) => new Date(NOW - hours * HOUR).toISOString();

describe('outboundRefusal', () => {
  it('lets out what keeps to every limit, to the last letter, byte and minute [PLUG-3]', () => {
    const most = message({ attachments: [file(10), file(5)], lastInboundAt: hoursAgo(167.99) });
    expect(outboundRefusal(most, limited, NOW)).toBeUndefined();
    expect(outboundRefusal(message(), limited, NOW)).toBeUndefined();
    expect(outboundRefusal(message({ text: 'as long as can be' }), capabilities, NOW)).toBeUndefined();
  });

  it.each([
    ['a longer text', { text: 'Hello!' }, 'a text of more than 5 letters'],
    ['more attachments', { attachments: [file(1), file(1), file(1)] }, 'more than 2 attachments'],
    ['a larger attachment', { attachments: [file(11)] }, 'an attachment of more than 10 bytes'],
    ['larger attachments together', { attachments: [file(8), file(8)] }, 'attachments of more than 15 bytes together'],
    ['another type', { attachments: [file(1, 'text/html')] }, 'an attachment of a type that can not be sent here'],
  ])('refuses %s, reading no attachment [CH-6]', (_name, more, reason) => {
    expect(outboundRefusal(message(more), limited, NOW)).toEqual({ code: 'Rejected', reason });
  });

  it('refuses any attachment where none can be sent [CH-6]', () => {
    expect(outboundRefusal(message({ attachments: [file(1)] }), capabilities, NOW)).toEqual({ code: 'Rejected', reason: 'attachments can not be sent here' });
  });

  it('counts the widest window of who speaks, and says when it closed [PLUG-3]', () => {
    expect(outboundRefusal(message({ lastInboundAt: hoursAgo(168) }), limited, NOW)).toEqual({ code: 'OutsideWindow', closedAt: hoursAgo(0) });
    expect(outboundRefusal(message({ sender: 'automation', lastInboundAt: hoursAgo(25) }), limited, NOW)).toEqual({
      code: 'OutsideWindow',
      closedAt: hoursAgo(1),
    });
  });

  it('lets a template out after the window only where one is allowed then [PLUG-3]', () => {
    const template = { name: 'still-there', language: 'en', parameters: [] };
    expect(outboundRefusal(message({ template, lastInboundAt: hoursAgo(200) }), limited, NOW)).toBeUndefined();
    const automatic = message({ template, sender: 'automation', lastInboundAt: hoursAgo(200) });
    expect(outboundRefusal(automatic, limited, NOW)).toMatchObject({ code: 'OutsideWindow' });
  });
});
