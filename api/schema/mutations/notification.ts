import { markRead, setNotificationSwitch } from '#commands/notifications.ts';
import { NotificationKindEnum, ToldByEnum } from '../enums.ts';
import { mutation } from '../mutation.ts';
import { NotificationRef, UserRef } from '../refs.ts';

mutation('markNotificationRead', {
  description: 'Marks one of one’s own notifications as read. Doing it again changes nothing.',
  type: NotificationRef,
  input: (t) => ({ notificationId: t.globalID({ for: [NotificationRef], required: true, description: 'Which notification.' }) }),
  work: ({ notificationId }, { unit, context }) => markRead(unit, { notificationId: notificationId.id, userId: context.viewer.userId }),
  read: ({ notificationId }, { load }) => load.notification.load(notificationId),
});

mutation('setNotificationSwitch', {
  description: 'Switches one kind of one’s own notifications on or off, in the API, by mail, or both.',
  type: UserRef,
  input: (t) => ({
    kind: t.field({ type: NotificationKindEnum, required: true, description: 'Which kind.' }),
    on: t.boolean({ required: true, description: 'On or off.' }),
    by: t.field({ type: ToldByEnum, description: 'In the API or by mail; none: both.' }),
  }),
  work: async ({ kind, on, by }, { unit, context: { viewer } }) => {
    await setNotificationSwitch(unit, { userId: viewer.userId, kind, on, by: by ?? null });
    return { userId: viewer.userId };
  },
  read: ({ userId }, { load }) => load.user.load(userId),
});
