import { describe, expect, it } from 'vitest';
import { fixture, parsed } from './support.ts';

const automatic = async (header: string, envelope: Record<string, string> = {}) =>
  (await parsed(`From: a@b.example\r\n${header}\r\n\r\nhi`, envelope)).automatic;

describe('mail by machines', () => {
  it('is known by what it says of itself [EMAIL-6]', async () => {
    expect(await parsed(fixture('away'))).toMatchObject({ automatic: 'auto-reply', thread: { joins: ['<trunkline.abc@acme.example>'] } });
    for (const header of [
      'Precedence: bulk',
      'Precedence: JUNK',
      'Precedence: auto_reply',
      'X-Autoreply: yes',
      'X-Amz-Auto-Reply: true',
      'X-FC-MachineGenerated: true',
      'X-Cron-Env: <SHELL=/bin/sh>',
      'Auto-Submitted: auto-generated',
      'Auto-Submitted: auto-replied; owner-email="a@b.example"',
      'Content-Type: multipart/report; report-type=disposition-notification; boundary=x',
      'Content-Type: multipart/report; report-type=feedback-report; boundary=x',
      'Return-Path: <>',
    ]) {
      expect(await automatic(header), header).toBe('auto-reply');
    }
  });

  it('is no bounce for its empty sender alone, so it joins nothing that it only names [EMAIL-6]', async () => {
    expect(await automatic('Subject: hello', { 'mail-from': '' })).toBe('auto-reply');
    expect(await automatic('In-Reply-To: <trunkline.abc@acme.example>', { 'mail-from': '' })).toBe('auto-reply');
  });

  it('is told from a person whose mail a server forwards with an empty sender: the one before it noted who sent it [EMAIL-6]', async () => {
    expect(await automatic('Return-Path: <a@b.example>', { 'mail-from': '' })).toBeUndefined();
  });

  it('is told from people who write through groups and lists [EMAIL-1, EMAIL-6]', async () => {
    expect(await parsed(fixture('group'))).not.toHaveProperty('automatic');
    expect(await automatic('Precedence: bulk\r\nList-Post: <mailto:talk@lists.example>')).toBeUndefined();
    expect(await automatic('Precedence: bulk\r\nList-Post: NO')).toBe('auto-reply');
    expect(await automatic('List-Unsubscribe: <mailto:leave@lists.example>\r\nList-ID: <talk.lists.example>')).toBeUndefined();
  });

  it('is told from people whose server only asks that no machine answers [EMAIL-6]', async () => {
    for (const header of ['X-Auto-Response-Suppress: All', 'X-Auto-Response-Suppress: DR, OOF, AutoReply', 'Auto-Submitted: no', 'X-Autoreply: no']) {
      expect(await automatic(header), header).toBeUndefined();
    }
  });
});
