import { eraseContact } from '#commands/erasing.ts';
import { mutation } from '../mutation.ts';
import { ContactRef } from '../refs.ts';
import { requireSeen } from '../require.ts';

mutation('eraseContact', {
  description:
    'Removes for good what a contact said, what was said to them and by what they are known. Their conversations and tickets stay as closed, empty shells. See contactErasurePreview.',
  type: ContactRef,
  input: (t) => ({ contactId: t.globalID({ for: [ContactRef], required: true, description: 'Whom.' }) }),
  work: async ({ contactId }, { unit, visible }) => {
    await requireSeen(unit.tx, visible, 'contact', contactId.id);
    const { contactId: erased } = await eraseContact(unit, { contactId: contactId.id });
    return { contactId: erased };
  },
  read: ({ contactId }, { load }) => load.contact.load(contactId),
});
