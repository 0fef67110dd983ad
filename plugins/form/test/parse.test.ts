import { describe, expect, it } from 'vitest';
import plugin from '../index.ts';
import { form, GOOD, typed } from './support.ts';

describe('a stored submission', () => {
  it('is a message of the address that was given, with the visible fields to read and the ticket’s name for its subject [FORM-1, FORM-3]', async () => {
    const it = form();
    await it.send({ ...GOOD, fullname: 'Ada Lindqvist', status: 'Closed', pipeline: 'Sales', utm: 'mail' });
    const message = await it.parsed();
    expect(message).toMatchObject({
      type: 'message',
      direction: 'inbound',
      contact: { kind: 'email-address', value: 'ada@example.com', name: 'Ada Lindqvist' },
      subject: 'The lamp',
      ticketDescription: 'It broke.\nTwice.',
      thread: { joins: [], keys: [message.providerMessageId] },
    });
    expect(message.text).toBe(
      'Your name: Ada Lindqvist\nYour email address: ada@example.com\nTopic: Something else\nSubject: The lamp\nWhat happened?\nIt broke.\nTwice.\n\nI agree: Yes',
    );
    expect(message.fields?.filter(({ hidden }) => hidden)).toEqual([{ name: 'utm', label: 'Source', value: 'mail', hidden: true }]);
    expect(JSON.stringify(message)).not.toMatch(/Closed|Sales/);
    expect(message.text).not.toContain('mail\n');
    expect(JSON.parse(JSON.stringify(message))).toEqual(message);
  });

  it('reads as it was sent after the form was edited, also where a field is gone or has become required [FORM-4]', async () => {
    const before = form();
    await before.send();
    const message = await before.parsed();
    const edited = form({
      title: 'Another',
      senderName: undefined,
      fields: [
        { kind: 'text', name: 'description', label: 'Changed', maxLength: 2 },
        { kind: 'text', name: 'new', label: 'New', required: true },
        { kind: 'text', name: 'name', label: 'Renamed' },
      ],
    });
    edited.delivered.push(...before.delivered);
    expect(await edited.parsed()).toEqual(message);
  });

  it('has no contact where no address is asked for or given, and is never matched to anybody', async () => {
    const fields = [
      { kind: 'email', name: 'email', label: 'Email' },
      { kind: 'text', name: 'name', label: 'Subject' },
    ];
    const it = form({ fields, senderName: undefined });
    await it.send({ description: 'x' });
    const message = await it.parsed();
    expect([message.contact, message.subject]).toEqual([null, 'Contact Acme']);
  });

  it('of an existing form has its own fields, its title for a subject unless a field is named [FORM-1]', async () => {
    const fields = [
      { kind: 'text', name: 'betreff', label: 'Betreff' },
      { kind: 'text', name: 'status', label: 'Status' },
    ];
    const it = form({ origin: 'existing', senderName: undefined, title: 'Reklamation', fields });
    await it.send({ betreff: 'Lampe', status: 'ledig' });
    expect(await it.parsed()).toMatchObject({ subject: 'Reklamation', text: 'Betreff: Lampe\nStatus: ledig' });
    const named = form({ origin: 'existing', senderName: undefined, title: 'Reklamation', fields, subjectField: 'betreff' });
    await named.send({ betreff: 'Lampe', status: 'ledig' });
    expect((await named.parsed()).subject).toBe('Lampe');
  });

  it('gives its files back by their place in it, whatever is asked for beside them [CH-6]', async () => {
    const it = form();
    const content = new Uint8Array(70_000).map((_, index) => index % 251);
    await it.send(GOOD, { files: [new File([content], 'a.png', { type: 'image/png' })] });
    const { attachments } = await it.parsed();
    const [raw] = it.delivered;
    const [ref] = attachments;
    if (raw === undefined || ref === undefined || plugin.extractAttachments === undefined) throw new Error('there is a file');
    const [bytes, none, odd] = await plugin.extractAttachments([ref, { ...ref, ref: '99' }, { ...ref, ref: 'x' }], raw, it);
    expect(Buffer.from(bytes ?? []).equals(Buffer.from(content))).toBe(true);
    expect([none, odd]).toEqual([null, null]);
  });

  it('depends on its bytes and nothing else: read again it is the same [PLUG-4]', async () => {
    const it = form();
    await it.send();
    const [raw] = it.delivered;
    if (raw === undefined) throw new Error('it was taken in');
    const again = await plugin.parse({ ...raw, receivedAt: '2030-01-01T00:00:00Z' }, form(typed({ title: 'Later' })));
    expect(again).toEqual([await it.parsed()]);
  });

  it('that is not what we store is malformed, and without the form as it was is read by the form as it is [PLUG-6]', async () => {
    const it = form();
    const raw = { method: 'POST', url: '', headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(GOOD)), receivedAt: '' };
    await expect(plugin.parse({ ...raw, body: Buffer.from('{') }, it)).rejects.toMatchObject({ failure: { code: 'Malformed' } });
    await expect(plugin.parse({ ...raw, headers: { ...raw.headers, 'x-form-definition': '{}' } }, it)).rejects.toMatchObject({
      failure: { code: 'Malformed' },
    });
    const [event] = await plugin.parse(raw, it);
    expect(event).toMatchObject({ type: 'message', subject: 'The lamp' });
  });
});
