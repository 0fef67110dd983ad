import { builder } from '../builder.ts';
import { SenderListEnum } from './enums.ts';
import { ORDERS } from './orders.ts';
import { SenderRuleConnection, SenderRuleRef } from './refs.ts';

builder.node(SenderRuleRef, {
  description: 'A mail address, or a domain with all below it, whose mail the account always takes in or keeps apart as spam. Admins see it.',
  id: { resolve: (rule) => rule.id },
  loadOne: (id, { load }) => load.senderRule.load(id),
  fields: (t) => ({
    list: t.field({ type: SenderListEnum, description: 'Which list it is on.', resolve: (rule) => rule.list }),
    pattern: t.exposeString('pattern', { description: '“ben@acme.com”, or “@acme.com” for a domain and all below it; in lower case, the domain in ASCII.' }),
    createdAt: t.field({ type: 'DateTime', description: 'When it was put there.', resolve: (rule) => rule.created_at }),
  }),
});

builder.queryField('senderRules', (t) =>
  t.connection(
    {
      type: SenderRuleRef,
      description: 'The account’s lists of senders, the oldest rule first. Empty to those who are no admin.',
      args: { list: t.arg({ type: SenderListEnum, description: 'Only this list.' }) },
      resolve: async (_root, { list, ...args }, { load, db, see }) => {
        const visible = await see();
        const query = db.selectFrom('sender_rule').selectAll().where(visible.sender_rule);
        return load.page(args, ORDERS.senderRule, list == null ? query : query.where('list', '=', list));
      },
    },
    SenderRuleConnection,
  ),
);
