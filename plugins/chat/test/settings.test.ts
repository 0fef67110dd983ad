import { describe, expect, it } from 'vitest';
import plugin from '../index.ts';
import { settingsSchema } from '../settings.ts';
import { PAGE_URL, typed } from './support.ts';

const problems = (settings: unknown): readonly string[] =>
  settingsSchema.safeParse(settings).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];

const FULL = typed({
  widgetId: 'shop',
  accent: '#FFE500',
  position: 'left',
  avatar: 'data:image/png;base64,iVBORw0KGgo=',
  availability: 'hours',
  hours: { timeZone: 'Europe/Berlin', periods: [{ day: 'monday', from: '09:00', to: '24:00' }], closedOn: ['2026-12-25'] },
  awayMessage: ' Back at nine. ',
  asksEmail: false,
  closedMessage: 'Closed.',
  allowedOrigins: ['https://shop.acme.example/', '*'],
  replyChannel: 'email-7k3q9x',
  transcript: { onClose: true, onRequest: false, from: 'email-7k3q9x' },
});

describe('settings', () => {
  it('need a title alone; the rest is made, and stays as it is when it is saved again [CHAT-1]', () => {
    const made = settingsSchema.parse({ title: ' Ask Acme! ' });
    expect(made).toMatchObject({ title: 'Ask Acme!', widgetId: 'ask-acme', position: 'right', availability: 'always', asksEmail: true, allowedOrigins: [] });
    expect(settingsSchema.parse(made)).toEqual(made);
    // A new title does not make it another widget.
    expect(settingsSchema.parse({ ...made, title: 'Talk to us' }).widgetId).toBe('ask-acme');
    const full = settingsSchema.parse(FULL);
    expect(full).toMatchObject({ accent: '#ffe500', awayMessage: 'Back at nine.', allowedOrigins: ['https://shop.acme.example', '*'] });
    expect(settingsSchema.parse(full)).toEqual(full);
    expect(settingsSchema.parse({ title: '你好' }).widgetId).toMatch(/^[a-z0-9-]+$/);
  });

  it('name every wrong field with its path in one answer [CH-3]', () => {
    const wrong = {
      title: 'two\nlines',
      widgetId: 'Shop!',
      greeting: '',
      accent: 'blue',
      position: 'top',
      avatar: 'http://acme.example/a.png',
      availability: 'hours',
      awayMessage: 'x'.repeat(2_001),
      asksEmail: 'yes',
      allowedOrigins: ['https://acme.example/contact', 'https://acme.example'],
      replyChannel: 'a mail',
      transcript: { onClose: 1, from: '' },
      colour: '#ffffff',
    };
    expect(new Set(problems(wrong).map((one) => one.split(':', 1)[0]))).toEqual(
      new Set([
        'title',
        'widgetId',
        'greeting',
        'accent',
        'position',
        'avatar',
        'hours',
        'awayMessage',
        'asksEmail',
        'allowedOrigins.0',
        'replyChannel',
        'transcript.onClose',
        'transcript.from',
        '',
      ]),
    );
    expect(problems(wrong).find((one) => one.startsWith(': '))).toContain('colour');
  });

  it('take opening hours that a clock and a calendar know, and say what is wrong with others [CHAT-3]', () => {
    const hours = (periods: unknown, more = {}) => problems(typed({ hours: { timeZone: 'Europe/Berlin', periods, ...more } }));
    expect(hours([{ day: 'monday', from: '09:00', to: '12:00' }])).toEqual([]);
    expect(hours([])).toHaveLength(1);
    expect(hours([{ day: 'monday', from: '22:00', to: '02:00' }])).toEqual(['hours.periods.0.to: must be later than "from"; over midnight, write two periods']);
    for (const time of ['9:00', '24:01', '25:00', '12:60', '12', 'noon'])
      expect(hours([{ day: 'monday', from: '00:00', to: time }])[0], time).toContain('hours.periods.0.to');
    expect(hours([{ day: 'Mo', from: '09:00', to: '12:00' }])[0]).toContain('hours.periods.0.day');
    const good = [{ day: 'monday', from: '09:00', to: '12:00' }];
    expect(hours(good, { closedOn: ['2028-02-29'] })).toEqual([]);
    for (const day of ['2027-02-29', '2027-13-01', '1 May', '2027-5-1']) expect(hours(good, { closedOn: [day] })[0], day).toContain('hours.closedOn.0');
    expect(hours(good, { timeZone: '+01:00' })).toEqual(['hours.timeZone: must be a time zone like Europe/Berlin']);
  });

  it('take a picture by its address or as a small one of its own, and never a document [CHAT-1]', () => {
    const avatar = (text: string) => problems(typed({ avatar: text })).length === 0;
    expect(['https://acme.example/a.png', 'data:image/webp;base64,UklGRg=='].map(avatar)).toEqual([true, true]);
    const refused = [
      'javascript:alert(1)',
      'data:image/svg+xml;base64,PHN2Zz4=',
      'data:text/html;base64,PGI+',
      'a.png',
      `data:image/png;base64,${'A'.repeat(40_000)}`,
    ];
    expect(refused.map(avatar)).toEqual(refused.map(() => false));
  });
});

describe('what the engine asks of the settings', () => {
  const settings = settingsSchema.parse(FULL);

  it('is the tracking code, one script tag [CHAT-1]', () => {
    expect(plugin.snippet?.(settings, PAGE_URL)).toBe(`<script async src="${PAGE_URL}/widget.js"></script>`);
  });

  it('is by which channel transcripts and answers go [CHAT-3, CHAT-4]', () => {
    expect(plugin.transcripts?.(settings)).toEqual({ onClose: true, from: 'email-7k3q9x' });
    expect(plugin.transcripts?.(settingsSchema.parse(typed()))).toEqual({ onClose: false });
    expect(plugin.replyChannel?.(settings)).toBe('email-7k3q9x');
    expect(plugin.replyChannel?.(settingsSchema.parse(typed()))).toBeUndefined();
    expect(plugin.address(settings)).toBe('shop');
  });

  it('is a preview of what visitors are shown', () => {
    const author = { fullName: 'Ada Lovelace', firstName: 'Ada', lastName: 'Lovelace' };
    expect(plugin.preview?.(settings, author)).toEqual([
      { label: 'Greeting', text: 'Hello. How can we help?' },
      { label: 'Away message', text: 'Back at nine.' },
      { label: 'Closed message', text: 'Closed.' },
      { label: 'Name beside an answer', text: 'Ada Lovelace' },
    ]);
  });
});
