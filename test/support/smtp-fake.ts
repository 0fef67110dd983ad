/** An account's SMTP server on this machine, the same that the mail plugin is tried against. */
export { fakeSmtp, rawServer, refusal, upToTheDot, type FakeSmtp } from '../../plugins/email/test/smtp-fake.ts';
