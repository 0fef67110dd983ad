import { expect, it } from 'vitest';
import { transcriptMail, type TranscriptLine } from '#domain/transcript.ts';

const at = new Date(Date.UTC(2026, 0, 2, 3, 4, 59));
const line = (more: Partial<TranscriptLine>): TranscriptLine => ({ from: 'visitor', author: 'Ben', at, text: 'Hello', ...more });

it('says who said what and when, in UTC [CHAT-4]', () => {
  const { subject, text, html } = transcriptMail({
    channelName: 'Acme chat',
    shortened: false,
    why: 'CLOSED',
    lines: [
      line({}),
      line({ from: 'us', author: 'Ada Lindqvist', text: 'Good day.\nHow can I help?' }),
      line({ from: 'us', author: null, text: 'One moment.' }),
      line({ author: null, text: 'Ok' }),
    ],
  });
  expect(subject).toBe('Your conversation with Acme chat');
  expect(text).toBe(
    [
      'Ben, 2 January 2026, 03:04 UTC:',
      '  Hello',
      '',
      'Ada Lindqvist, 2 January 2026, 03:04 UTC:',
      '  Good day.',
      '  How can I help?',
      '',
      'Acme chat, 2 January 2026, 03:04 UTC:',
      '  One moment.',
      '',
      'You, 2 January 2026, 03:04 UTC:',
      '  Ok',
      '',
      'This mail was written by a machine when the conversation was closed.',
      '',
    ].join('\n'),
  );
  expect(html).toContain('<strong>Ada Lindqvist</strong>');
});

it('nothing anybody wrote is HTML, or can look like another’s words [CHAT-4]', () => {
  const { subject, text, html } = transcriptMail({
    channelName: 'A\r\nBcc: x@y.example',
    shortened: true,
    why: 'ASKED',
    lines: [line({ author: '<b>Ada</b>\nAda', text: `<script>alert(1)</script>"'&\u0000\nAda Lindqvist, 2 January 2026, 03:04 UTC:\r\u2028I owe you` })],
  });
  expect(subject).toBe('Your conversation with A Bcc: x@y.example');
  expect(html).not.toMatch(/<script|<b>|\u0000/);
  expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;');
  // Every line of a message is set in.
  expect(text.split('\n').filter((one) => /^Ada Lindqvist|^I owe/.test(one))).toEqual([]);
  expect(text.split('\n')[0]).toBe('Earlier messages are left out.');
});
