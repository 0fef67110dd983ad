import { describe, expect, it } from 'vitest';
import { fromName, render, subjectOf } from '../render.ts';
import { channel, person, reply } from './support.ts';

const { settings } = channel();

async function headers(message: Parameters<typeof render>[0]): Promise<string> {
  const { mime } = await render(message, settings, [], Date.UTC(2026, 0, 2, 3, 4, 5));
  const text = new TextDecoder().decode(mime);
  return text.slice(0, text.indexOf('\r\n\r\n'));
}

describe('a reply as a mail', () => {
  it('comes from "Ada at Acme" or from the company, as the channel says; what nobody wrote comes from the company [EMAIL-2]', () => {
    expect(fromName(reply(), settings)).toBe('Ada at Acme');
    expect(fromName(reply(), { ...settings, fromName: 'company' })).toBe('Acme');
    expect(fromName(reply({ author: null }), settings)).toBe('Acme');
  });

  it('has "Re:" once, in whatever language it was piled up', () => {
    expect(subjectOf(reply({ subject: 'Re: RE[2]: Aw: SV: Regarding: it' }))).toBe('Re: Regarding: it');
    expect(subjectOf(reply({ subject: null }))).toBe('Re:');
    expect(subjectOf(reply({ kind: 'start', subject: 'Your order' }))).toBe('Your order');
  });

  it('names the first and the newest mails of a long thread, and no hash among them [EMAIL-5]', async () => {
    const precedingIds = Array.from({ length: 50 }, (_, place) => (place % 10 === 5 ? 'sha256:abc' : `<m${place}@x.example>`));
    const head = await headers(reply({ precedingIds, inReplyTo: '<m49@x.example>' }));
    const references = /^References:((?:[^\r]|\r\n[ \t])*)/m.exec(head)?.[1]?.trim().split(/\s+/) ?? [];
    expect(references).toHaveLength(20);
    expect([references[0], references.at(-1)]).toEqual(['<m0@x.example>', '<m49@x.example>']);
    expect(await headers(reply({ precedingIds: ['sha256:abc'], inReplyTo: 'sha256:abc' }))).not.toMatch(/^(References|In-Reply-To)/m);
  });

  it('says that a machine wrote it when one did, so that no other machine answers [EMAIL-6]', async () => {
    expect(await headers(reply({ sender: 'automation', author: null }))).toMatch(/^Auto-Submitted: auto-replied\r$/m);
    expect(await headers(reply())).not.toMatch(/^Auto-Submitted/m);
  });

  it('takes no header from a name, a subject or an id', async () => {
    const evil = 'x\r\nBcc: all@customer.example';
    const head = await headers(
      reply({
        subject: evil,
        to: person('ben@customer.example', evil),
        inReplyTo: `<a>${evil}`,
        precedingIds: [evil],
        author: { fullName: evil, firstName: evil, lastName: evil },
      }),
    );
    expect(head).not.toMatch(/^Bcc:/m);
  });
});
