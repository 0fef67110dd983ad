/** What the receiver tells a client in place of "250". */
export class SmtpReply extends Error {
  readonly responseCode: number;
  constructor(responseCode: number, message: string) {
    super(message);
    this.responseCode = responseCode;
  }
}

export function reply(code: number, message: string): SmtpReply {
  return new SmtpReply(code, message);
}
