import { describe, expect, it } from 'vitest';
import { replyToken } from '../token.ts';
import { events, fixture, pluginContext } from './support.ts';

const OURS = '<trunkline.gone@acme.example>';
const DAEMON = { 'mail-from': '' };

/** A delivery report; `returned`: headers of the mail that comes back. */
function report(fields: string, returned = `To: nobody@customer.example\nMessage-ID: ${OURS}\n`, part = 'text/rfc822-headers'): string {
  return [
    'From: mailer-daemon@mx.customer.example',
    'Message-ID: <report@mx.customer.example>',
    'Content-Type: multipart/report; report-type=delivery-status; boundary=r',
    '',
    '--r',
    '',
    'Sorry.',
    '--r',
    'Content-Type: message/delivery-status',
    '',
    'Reporting-MTA: dns; mx.customer.example',
    '',
    fields,
    '--r',
    `Content-Type: ${part}`,
    '',
    returned,
    '--r--',
    '',
  ].join('\r\n');
}

describe('a bounce', () => {
  it('joins the mail that came back, and says that it failed, by its code alone [EMAIL-6, CH-5]', async () => {
    const { message, receipts } = await events(fixture('bounce'));
    expect(message).toMatchObject({ automatic: 'bounce', thread: { joins: [OURS] } });
    expect(receipts).toEqual([{ type: 'receipt', dedupeKey: `failed ${message.dedupeKey}`, providerMessageId: OURS, state: 'failed', reason: '5.1.1' }]);
  });

  it('is proven by our token in the Reply-To that came back [EMAIL-5, EMAIL-6]', async () => {
    const token = replyToken('any', pluginContext().sign);
    const { message } = await events(
      report('Final-Recipient: rfc822; a@b.example\r\nAction: delayed\r\nStatus: 4.2.2', `Reply-To: support-1+${token}@in.trunkline.example\r\n`),
    );
    expect(message).toMatchObject({ automatic: 'bounce', thread: { proven: [`token:${token}`], joins: [] } });
  });

  it.each([
    ['delayed', 'Final-Recipient: rfc822; nobody@customer.example\r\nAction: delayed\r\nStatus: 4.2.2', undefined],
    ['delivered', 'Final-Recipient: rfc822; nobody@customer.example\r\nAction: delivered\r\nStatus: 2.1.5', undefined],
    ['given up after a while', 'Final-Recipient: rfc822; nobody@customer.example\r\nAction: failed\r\nStatus: 4.4.7', '4.4.7'],
    [
      'no status',
      'Final-Recipient: rfc822; nobody@customer.example\r\nAction: failed\r\nDiagnostic-Code: smtp; 550 5.7.26 said Nobody <n@b.example>',
      '5.7.26',
    ],
    ['no code at all', 'Final-Recipient: rfc822; nobody@customer.example\r\nAction: failed', 'delivery failed'],
    ['no action', 'Final-Recipient: rfc822; nobody@customer.example\r\nStatus: 5.1.1', '5.1.1'],
    ['known there under another name', 'Final-Recipient: rfc822; n17@inner.example\r\nAction: failed\r\nStatus: 5.1.1', '5.1.1'],
  ])('fails our mail where it did not reach its recipient for good: %s [CH-5]', async (_what, fields, reason) => {
    const { receipts } = await events(report(fields));
    expect(receipts.map((one) => one.reason)).toEqual(reason === undefined ? [] : [reason]);
  });

  it('leaves our mail as it is where only a copy did not arrive [CH-5]', async () => {
    const back = `To: ben@customer.example\r\nCc: nobody@customer.example\r\nMessage-ID: ${OURS}\r\n`;
    const { message, receipts } = await events(report('Final-Recipient: rfc822; nobody@customer.example\r\nAction: failed\r\nStatus: 5.1.1', back));
    expect([message.automatic, receipts]).toEqual(['bounce', []]);
  });

  it.each([
    [
      'qmail',
      `Hi. This is the qmail-send program at mx.example.\r\nThis is a permanent error; I've given up. Sorry it didn't work out.\r\n\r\n<nobody@customer.example>:\r\nRemote host said: 550 5.1.1 unknown\r\n\r\n--- Below this line is a copy of the message.\r\n\r\nReturn-Path: <support@acme.example>\r\nTo: nobody@customer.example\r\nMessage-ID: ${OURS}\r\n\r\nWe send you a new one.`,
    ],
    [
      'Exim',
      `This message was created automatically by mail delivery software.\r\n\r\nA message that you sent could not be delivered to one or more of its\r\nrecipients. This is a permanent error. The following address(es) failed:\r\n\r\n  <nobody@customer.example>\r\n    550 5.1.1 unknown\r\n\r\n------ This is a copy of the message, including all the headers. ------\r\n\r\nTo: nobody@customer.example\r\nMessage-ID: ${OURS}\r\n\r\nText`,
    ],
    [
      'old sendmail',
      `   ----- The following addresses had permanent fatal errors -----\r\n<nobody@customer.example>\r\n    (reason: 550 5.1.1 unknown)\r\n\r\n   ----- Original message follows -----\r\n\r\nTo: nobody@customer.example\r\nMessage-ID: ${OURS}\r\n\r\nText`,
    ],
  ])('is read in words alone as %s wrote them, from a mail server with an empty sender only [EMAIL-6]', async (_what, text) => {
    const mail = `From: MAILER-DAEMON@mx.customer.example\r\nMessage-ID: <old@mx.example>\r\n\r\n${text}\r\n`;
    const { message, receipts } = await events(mail, DAEMON);
    expect(message).toMatchObject({ automatic: 'bounce', thread: { joins: [OURS] } });
    expect(receipts).toMatchObject([{ providerMessageId: OURS, state: 'failed', reason: '5.1.1' }]);
    expect(await events(mail.replace('MAILER-DAEMON', 'mallory'), DAEMON)).toMatchObject({
      message: { automatic: 'auto-reply', thread: { joins: [] } },
      receipts: [],
    });
    expect(await events(mail)).toMatchObject({ message: { thread: { joins: [] } }, receipts: [] });
  });

  it('is the mail itself, not a report that somebody put into theirs, whatever that names [EMAIL-5, EMAIL-6, EMAIL-8]', async () => {
    const failed = report('Final-Recipient: rfc822; nobody@customer.example\r\nAction: failed\r\nStatus: 5.1.1').replace('mailer-daemon@', 'mallory@');
    expect((await events(failed)).message.automatic, 'as it is, it is a report').toBe('bounce');
    for (const type of [
      'multipart/mixed; boundary=r',
      'multipart/mixed; report-type=delivery-status; boundary=r',
      'multipart/mixed; x="multipart/report; report-type=delivery-status"; boundary=r',
      'multipart/reported; report-type=delivery-status; boundary=r',
    ]) {
      const { message, receipts } = await events(failed.replace(/multipart\/report;.*/, type));
      expect([message.automatic, message.thread.joins, receipts], type).toEqual([undefined, [], []]);
    }
    const other = failed.replace('report-type=delivery-status', 'report-type=disposition-notification');
    expect(await events(other)).toMatchObject({ message: { automatic: 'auto-reply', thread: { joins: [] } }, receipts: [] });
    // From the empty sender it is one however it is put together.
    expect((await events(failed.replace(/multipart\/report;.*/, 'multipart/mixed; boundary=r'), DAEMON)).receipts).toHaveLength(1);
  });

  it('of a bounce, or of nothing, is taken quietly [EMAIL-6]', async () => {
    const inner =
      'Return-Path: <>\r\nTo: x@y.example\r\nMessage-ID: <bounce-0@acme.example>\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=q\r\n\r\n--q\r\nContent-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; x@y.example\r\nAction: failed\r\n--q--\r\n';
    expect((await events(report('Final-Recipient: rfc822; z@y.example\r\nAction: failed\r\nStatus: 5.1.1', inner, 'message/rfc822'))).message).toMatchObject({
      automatic: 'bounce',
      thread: { joins: ['<bounce-0@acme.example>'] },
    });
    const { message, receipts } = await events(report('', ''), DAEMON);
    expect([message.automatic, message.thread.joins, receipts]).toEqual(['bounce', [], []]);
  });
});

describe('a read receipt', () => {
  it('is attached to the mail it is about, and fails nothing [EMAIL-6]', async () => {
    const mail = `From: ben@customer.example\r\nContent-Type: multipart/report; report-type=disposition-notification; boundary=r\r\n\r\n--r\r\n\r\nIt was read.\r\n--r\r\nContent-Type: message/disposition-notification\r\n\r\nFinal-Recipient: rfc822; ben@customer.example\r\nOriginal-Message-ID: ${OURS}\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n--r--\r\n`;
    expect(await events(mail)).toMatchObject({ message: { automatic: 'auto-reply', thread: { joins: [OURS] } }, receipts: [] });
  });
});
