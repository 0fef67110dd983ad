import { describe, expect, it } from 'vitest';
import plugin from '../index.ts';
import { canonicalAddress } from '../address.ts';
import { channel, typedSettings } from './support.ts';

async function issues(settings: unknown): Promise<Record<string, string>> {
  const result = await plugin.settings['~standard'].validate(settings);
  return Object.fromEntries((result.issues ?? []).map((issue) => [(issue.path ?? []).map(String).join('.'), issue.message]));
}

describe('settings', () => {
  it('connects "other", and says of Gmail and Microsoft 365 that they come later and of IMAP that it is not offered [EMAIL-1]', async () => {
    expect(await issues(typedSettings())).toEqual({});
    expect((await issues({ ...typedSettings(), kind: 'gmail' }))['kind']).toMatch(/Gmail can not be connected directly yet.*"other"/);
    expect((await issues({ ...typedSettings(), kind: 'microsoft365' }))['kind']).toMatch(/Microsoft 365 can not be connected directly yet/);
    expect((await issues({ ...typedSettings(), kind: 'imap' }))['kind']).toMatch(/IMAP is not offered/);
    expect((await issues({ ...typedSettings(), kind: 'constructor' }))['kind']).toMatch(/must be "other"/);
  });

  it('names every wrong field in one answer [CH-3]', async () => {
    const wrong = await issues({ address: 'nobody', smtp: { host: 'a host', port: 0, secure: 'maybe' }, fromName: 'me', companyName: '' });
    expect(Object.keys(wrong).toSorted()).toEqual(['address', 'companyName', 'fromName', 'smtp.host', 'smtp.port', 'smtp.secure']);
  });

  it('keeps the password among the secrets, wants a user name with it, and sends it over TLS only [CH-3]', async () => {
    expect(plugin.secrets).toEqual(['smtpPassword']);
    const smtp = { host: 'smtp.acme.example', port: 587, secure: 'none', username: 'ada' };
    expect(Object.keys(await issues({ ...typedSettings(), smtp }))).toEqual(['smtpPassword', 'smtp.secure']);
    expect(Object.keys(await issues({ ...typedSettings(), smtpPassword: 'secret' }))).toEqual(['smtp.username']);
  });

  it('has defaults for what is new, and what was saved is saved again unchanged [CH-3]', async () => {
    const { settings } = channel({ signature: { html: '<b>{{ sender.fullName }}</b>' } });
    expect(settings).toMatchObject({ forwards: 'original-sender', signature: { kind: 'simple' } });
    expect(await plugin.settings['~standard'].validate(settings)).toEqual({ value: settings });
  });

  it('names the wrong field among the new ones [CH-3, EMAIL-2, EMAIL-3, EMAIL-5, EMAIL-8]', async () => {
    const { inboundDomain: _, ...without } = typedSettings();
    const wrong = await issues({
      ...without,
      fromAddress: 'nobody',
      replyTo: 'elsewhere',
      forwards: 'me',
      trustedAuthenticator: 'two words',
      trustedSealers: ['google.com', ''],
      signature: { kind: 'loud', html: '' },
    });
    const paths = ['forwards', 'fromAddress', 'replyTo', 'signature.html', 'signature.kind', 'trustedAuthenticator', 'trustedSealers.1'];
    expect(Object.keys(wrong).toSorted()).toEqual(paths);
    expect(Object.keys(await issues({ ...without, replyTo: 'forwarding' }))).toEqual(['inboundDomain']);
    expect(await issues({ ...typedSettings(), replyTo: 'forwarding', fromAddress: 'Help@Acme.example' })).toEqual({});
    expect(channel({ fromAddress: 'Help@Acme.example' }).settings.fromAddress).toBe('help@acme.example');
  });

  it('has one form for an address however it is written, so that it is connected once [CH-2]', () => {
    expect(canonicalAddress(' Support@ACME.example ')).toBe('support@acme.example');
    expect(canonicalAddress('info@Bücher.example')).toBe('info@xn--bcher-kva.example');
    for (const wrong of ['', '@', 'a@', '@b', 'a b@c.d', 'a@b@c.d', 'a@b..c', 'a@<b>', 'a\r\nRCPT TO:<x@y>@z.d', `${'a'.repeat(300)}@b.c`]) {
      expect(canonicalAddress(wrong), wrong).toBeUndefined();
    }
  });
});
