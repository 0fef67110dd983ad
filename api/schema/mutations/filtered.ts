import { releaseFiltered } from '#commands/filtered.ts';
import { AlreadyExists, NotFound, NotPossible } from '#commands/refusals.ts';
import { addSenderRule, removeSenderRule } from '#commands/sender-rules.ts';
import { builder, globalId } from '../../builder.ts';
import { SenderListEnum } from '../enums.ts';
import { mutation } from '../mutation.ts';
import { FilteredMessageRef, SenderRuleRef } from '../refs.ts';

mutation('releaseFiltered', {
  description:
    'Lets a message that was kept apart pass: it is taken in as an ordinary message whatever the lists say, an automatic one too, which begins a conversation. Doing it again changes nothing.',
  type: FilteredMessageRef,
  refusals: [NotPossible],
  input: (t) => ({ filteredMessageId: t.globalID({ for: [FilteredMessageRef], required: true, description: 'Which message.' }) }),
  work: async ({ filteredMessageId: { id } }, { unit, visible }) => {
    const seen = await unit.tx.selectFrom('filtered_message').select('id').where('id', '=', id).where(visible.filtered_message).executeTakeFirst();
    if (seen === undefined) throw new NotFound('filtered message', id);
    return releaseFiltered(unit, { filteredId: id });
  },
  read: ({ filteredId }, { load }) => load.filteredMessage.load(filteredId),
});

mutation('addSenderRule', {
  description: 'Puts a mail address, or a domain with all below it, on one of the account’s lists. It counts for what arrives from now on.',
  type: SenderRuleRef,
  refusals: [AlreadyExists],
  input: (t) => ({
    list: t.field({ type: SenderListEnum, required: true, description: 'Which list.' }),
    pattern: t.string({ required: true, description: 'An address (“ben@acme.com”) or a domain (“acme.com”, “@acme.com”); not a whole top-level domain.' }),
  }),
  work: ({ list, pattern }, { unit }) => addSenderRule(unit, { list, pattern }),
  read: ({ ruleId }, { load }) => load.senderRule.load(ruleId),
});

const RemovedSenderRuleRef = builder.objectRef<{ readonly ruleId: string }>('RemovedSenderRule').implement({
  description: 'A rule about senders that is no more.',
  fields: (t) => ({ removedId: t.id({ description: 'The global id it had.', resolve: ({ ruleId }) => globalId('SenderRule', ruleId) }) }),
});

mutation('removeSenderRule', {
  description: 'Takes a rule off its list. What it kept apart stays there until it is let pass.',
  type: RemovedSenderRuleRef,
  input: (t) => ({ ruleId: t.globalID({ for: [SenderRuleRef], required: true, description: 'Which rule.' }) }),
  work: ({ ruleId }, { unit }) => removeSenderRule(unit, { ruleId: ruleId.id }),
  read: async ({ ruleId }) => ({ ruleId }),
});
