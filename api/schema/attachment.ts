import { attachmentLink } from '../attachment-links.ts';
import { builder } from '../builder.ts';
import { AttachmentRef } from './refs.ts';

const AttachmentStateEnum = builder.enumType('AttachmentState', {
  description: 'How far an attachment has come.',
  values: {
    WAITING: { description: 'It is still to be fetched.' },
    STORED: { description: 'It is there.' },
    REFUSED: { description: 'The channel does not take it: too many, too large, or of another type. The message was kept.' },
    FAILED: { description: 'It could not be had.' },
  } as const,
});

builder.node(AttachmentRef, {
  description: 'A file that came or goes with a message.',
  id: { resolve: (attachment) => attachment.id },
  loadOne: (id, { load }) => load.attachment.load(id),
  fields: (t) => ({
    fileName: t.exposeString('file_name', { description: 'A name that is safe to save it under; no two of a message are the same.' }),
    type: t.exposeString('type', { description: 'Its MIME type, as its sender says; lower case, without parameters.' }),
    bytes: t.float({ nullable: true, description: 'Its size in bytes; null: not known before it is there.', resolve: (attachment) => attachment.bytes }),
    state: t.field({ type: AttachmentStateEnum, description: 'How far it has come.', resolve: (attachment) => attachment.state }),
    reason: t.exposeString('reason', { nullable: true, description: 'Why it was refused, or could not be had: a fixed phrase; null: it is there, or waits.' }),
    inline: t.boolean({ description: 'It belongs into the message’s HTML, not under it.', resolve: (attachment) => attachment.content_id !== null }),
    url: t.string({
      nullable: true,
      description:
        'Where to fetch it, by whoever has this link, for at most 15 minutes; with a token the address without its query always does. Null: it is not there.',
      resolve: (attachment, _args, { deps }) => (attachment.state === 'STORED' ? attachmentLink(deps, attachment.id) : null),
    }),
  }),
});
