import PostalMime, { type Email } from 'postal-mime';
import { describe, expect, it } from 'vitest';
import type { OutboundMessage } from '@trunkline/channel-sdk';
import plugin from '../index.ts';
import { fromName, render, subjectOf, type LoadedAttachment } from '../render.ts';
import { tokensIn } from '../token.ts';
import { channel, person, pluginContext, reply } from './support.ts';

const { settings } = channel();
const SIGNATURE = { html: '<p><b>{{ sender.fullName }}</b><br />{{ company.name }}, <i>Berlin</i></p>' };

async function rendered(message: OutboundMessage, more: Record<string, unknown> = {}, attachments: readonly LoadedAttachment[] = []): Promise<string> {
  const { mime } = await render(message, pluginContext(channel(more)), attachments, Date.UTC(2026, 0, 2, 3, 4, 5));
  return new TextDecoder().decode(mime);
}

async function headers(message: OutboundMessage): Promise<string> {
  const text = await rendered(message);
  return text.slice(0, text.indexOf('\r\n\r\n'));
}

async function mailed(...args: Parameters<typeof rendered>): Promise<Email> {
  return PostalMime.parse(await rendered(...args));
}

describe('a reply as a mail', () => {
  it('comes from "Ada at Acme" or from the company, as the channel says; what nobody wrote comes from the company [EMAIL-2]', () => {
    expect(fromName(reply(), settings)).toBe('Ada at Acme');
    expect(fromName(reply(), { ...settings, fromName: 'company' })).toBe('Acme');
    expect(fromName(reply({ author: null }), settings)).toBe('Acme');
  });

  it('asks for answers at an address with its token, under the name it comes from [EMAIL-5]', async () => {
    const keys = plugin.reserve?.(reply(), pluginContext()).keys ?? [];
    for (const more of [{}, { replyTo: 'subaddress' }]) {
      const mail = await mailed(reply(), more);
      const [answersTo] = mail.replyTo ?? [];
      expect(answersTo?.name).toBe('Ada at Acme');
      expect(tokensIn([answersTo?.address ?? ''], channel(more)).map((token) => `token:${token}`)).toEqual([keys[1]]);
    }
    expect(await mailed(reply(), { replyTo: 'plain' })).not.toHaveProperty('replyTo');
    expect((await mailed(reply(), { replyTo: 'plain', fromAddress: 'help@acme.example' })).replyTo).toMatchObject([{ address: 'support@acme.example' }]);
  });

  it('comes from another address the account may send as, in header and envelope, where one is set [EMAIL-2]', async () => {
    const context = pluginContext(channel({ fromAddress: 'help@acme.example' }));
    const mail = await render(reply(), context, [], 0);
    expect(mail.from).toBe('help@acme.example');
    expect(await PostalMime.parse(mail.mime)).toMatchObject({ from: { name: 'Ada at Acme', address: 'help@acme.example' } });
  });

  it('ends in the signature of whoever wrote it, in HTML and in text, names as text [EMAIL-3]', async () => {
    const author = { fullName: 'Ada <Lindqvist>', firstName: 'Ada', lastName: 'L' };
    const mail = await mailed(reply({ author, html: '<p>We send <b>one</b>.</p>' }), { signature: SIGNATURE });
    expect(mail.text?.trimEnd()).toBe('We send you a new one.\n\n-- \nAda <Lindqvist>\nAcme, Berlin');
    expect(mail.html).toContain('<p>We send <b>one</b>.</p>');
    expect(mail.html).toContain('<p><b>Ada &#60;Lindqvist&#62;</b><br />Acme, <i>Berlin</i></p>');
    const plain = await mailed(reply({ text: 'a < b\n& c' }), { signature: SIGNATURE });
    expect(plain.html).toMatch(/^<div>a &#60; b<br>\n&#38; c<\/div>/);
    expect(await mailed(reply())).not.toHaveProperty('html');
  });

  it('has no signature where a machine wrote it [EMAIL-3]', async () => {
    for (const message of [reply({ sender: 'automation' }), reply({ sender: 'automation', author: null }), reply({ author: null })]) {
      const mail = await mailed(message, { signature: SIGNATURE });
      expect(mail.text?.trim()).toBe('We send you a new one.');
      expect(mail).not.toHaveProperty('html');
    }
  });

  it('carries pictures of its HTML inside, by their content id [CH-6]', async () => {
    const picture = { fileName: 'a.png', type: 'image/png', content: new Uint8Array([1]), contentId: 'pic-1@trunkline' };
    const mail = await mailed(reply({ html: '<p><img src="cid:pic-1@trunkline"></p>' }), {}, [picture]);
    expect(mail.html).toContain('<img src="cid:pic-1@trunkline">');
    expect(mail.attachments).toMatchObject([{ contentId: '<pic-1@trunkline>', disposition: 'inline', related: true }]);
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
    expect(await headers(reply({ sender: 'automation', author: null, kind: 'start' }))).toMatch(/^Auto-Submitted: auto-generated\r$/m);
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

describe('a preview', () => {
  const author = { fullName: 'Ada <Lindqvist>', firstName: 'Ada', lastName: 'L' };

  it('shows From, Reply-To and signature as they would be sent [EMAIL-2, EMAIL-3]', async () => {
    const more = { signature: SIGNATURE, fromAddress: 'help@acme.example' };
    const shown = plugin.preview?.(channel(more).settings, author) ?? [];
    expect(shown.map(({ label, text }) => [label, text])).toEqual([
      ['From', 'Ada at Acme <help@acme.example>'],
      ['Reply-To', '<channel key>+<token>@in.trunkline.example'],
      ['Signature', 'Ada <Lindqvist>\nAcme, Berlin'],
    ]);
    expect((await mailed(reply({ author, html: 'x' }), more)).html).toContain(shown[2]?.html);
  });

  it('leaves out what there is not, and shows the other ways of answering', () => {
    const texts = (more: Record<string, unknown>) => plugin.preview?.(channel(more).settings, author).map(({ text }) => text);
    expect(texts({ fromName: 'company', replyTo: 'subaddress' })).toEqual(['Acme <support@acme.example>', 'support+<token>@acme.example']);
    expect(texts({ replyTo: 'plain' })).toEqual(['Ada at Acme <support@acme.example>', 'support@acme.example']);
  });
});
