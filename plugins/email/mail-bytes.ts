import type { SMTPServerDataStream } from 'smtp-server';
import { reply } from './smtp-reply.ts';

export interface MailReader {
  /** All of a mail. Rejects with 552 where it is larger than allowed, with 452 where too much is in memory already. */
  read(stream: SMTPServerDataStream): Promise<Buffer>;
  /** It is stored: its bytes are no longer held. */
  release(mail: Buffer): void;
}

/** Reads mails into memory: each up to `maxBytes`, all that are on their way or being stored together up to `maxHeld`. */
export function createMailReader(maxBytes: number, maxHeld: number): MailReader {
  let held = 0;
  return {
    async read(stream) {
      const chunks: Buffer[] = [];
      let bytes = 0;
      let refusal: Error | undefined;
      const letGo = (): void => {
        held -= bytes;
        bytes = 0;
        chunks.length = 0;
      };
      try {
        // What is refused is let through unkept to its end: the sender listens only when it has said everything.
        for await (const chunk of stream) {
          if (!Buffer.isBuffer(chunk) || refusal !== undefined) continue;
          if (bytes + chunk.length > maxBytes) refusal = reply(552, 'Larger than we take');
          else if (held + chunk.length > maxHeld) refusal = reply(452, 'Too much at once, please try again');
          if (refusal !== undefined) {
            letGo();
            continue;
          }
          chunks.push(chunk);
          bytes += chunk.length;
          held += chunk.length;
        }
        if (refusal !== undefined || stream.sizeExceeded) throw refusal ?? reply(552, 'Larger than we take');
        return Buffer.concat(chunks);
      } catch (error) {
        letGo();
        throw error;
      }
    },
    release(mail) {
      held -= mail.length;
    },
  };
}
