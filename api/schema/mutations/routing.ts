import { setRoutingSettings } from '#commands/routing-rules.ts';
import { mutation } from '../mutation.ts';
import { routingSettings, RoutingSettingsRef } from '../routing.ts';

mutation('setRoutingSettings', {
  description: 'Sets what holds for every routing rule of the account, from the next decision on.',
  type: RoutingSettingsRef,
  input: (t) => ({
    recentlyAssignedFirst: t.boolean({ required: true, description: 'Of those who are equally busy: true gives it to who got something last.' }),
  }),
  work: async ({ recentlyAssignedFirst }, { unit }) => {
    await setRoutingSettings(unit, { recentlyAssignedFirst });
    return { set: true };
  },
  read: (_answer, { db }) => routingSettings(db),
});
