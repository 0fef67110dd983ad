import { setContactOwner } from '#commands/contact-owner.ts';
import { eraseContact } from '#commands/erasing.ts';
import { NotAssignable } from '#commands/refusals.ts';
import { mutation } from '../mutation.ts';
import { ContactRef, UserRef } from '../refs.ts';
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

mutation('setContactOwner', {
  description:
    'Says who looks after a contact. Channels whose rule is CONTACT_OWNER give them what the contact begins from now on; what there is stays with whom it is.',
  type: ContactRef,
  refusals: [NotAssignable],
  input: (t) => ({
    contactId: t.globalID({ for: [ContactRef], required: true, description: 'Whose.' }),
    ownerId: t.globalID({ for: [UserRef], description: 'Who; null, or left out: nobody.' }),
  }),
  work: async ({ contactId, ownerId }, { unit, visible }) => {
    await requireSeen(unit.tx, visible, 'contact', contactId.id);
    await setContactOwner(unit, { contactId: contactId.id, ownerId: ownerId?.id ?? null });
    return { contactId: contactId.id };
  },
  read: ({ contactId }, { load }) => load.contact.load(contactId),
});
