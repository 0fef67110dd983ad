import { AlreadyExists, NotPossible } from '#commands/refusals.ts';
import { retryWebhookDelivery } from '#commands/webhook-deliveries.ts';
import { deleteWebhook, rotateWebhookSecret, saveWebhook, testWebhook } from '#commands/webhooks.ts';
import { builder, globalId } from '../../builder.ts';
import type { ApiContext } from '../../context.ts';
import { promised } from '../../promised.ts';
import { mutation } from '../mutation.ts';
import { WebhookDeliveryRef, WebhookRef } from '../refs.ts';

const delivery = ({ deliveryId }: { readonly deliveryId: string }, { load }: ApiContext) => load.webhookDelivery.load(deliveryId);

interface Saved {
  readonly webhookId: string;
  readonly secret: string | null;
}

const SavedWebhookRef = builder.objectRef<Saved>('SavedWebhook').implement({
  description: 'A webhook, with its secret where that is new, shown this once.',
  fields: (t) => ({
    webhook: t.field({
      type: WebhookRef,
      description: 'What is kept of it.',
      resolve: async ({ webhookId }, _args, { load }) => promised(await load.webhook.load(webhookId)),
    }),
    secret: t.exposeString('secret', {
      nullable: true,
      description:
        'What the receiver checks signatures with: “whsec_…”. It is stored encrypted; null where it is no new one, or the same idempotency key was answered before.',
    }),
  }),
});

/** The answer kept under the key has ids only: the secret stays with the one call that made it. */
interface Shown {
  secret: string | null;
}
const prepare = async (): Promise<Shown> => ({ secret: null });
const read = async ({ webhookId }: { readonly webhookId: string }, _context: ApiContext, shown: Shown | undefined): Promise<Saved> => ({
  webhookId,
  secret: shown?.secret ?? null,
});

mutation('saveWebhook', {
  description: 'Makes a webhook, whose secret is shown once, or gives one another name or address.',
  type: SavedWebhookRef,
  refusals: [AlreadyExists],
  input: (t) => ({
    webhookId: t.globalID({ for: [WebhookRef], description: 'Which one; none: a new one.' }),
    name: t.string({ required: true, description: 'Its name, unique without regard to case.' }),
    url: t.string({ required: true, description: 'What is to be called: https, or http within this machine. Shown to admins only.' }),
  }),
  prepare,
  work: async ({ webhookId, name, url }, { unit, context }, shown) => {
    const saved = await saveWebhook(unit, context.deps, { webhookId: webhookId?.id ?? null, name, url });
    if (shown !== undefined) shown.secret = saved.secret;
    return { webhookId: saved.webhookId };
  },
  read,
});

mutation('rotateWebhookSecret', {
  description: 'Gives a webhook another secret, shown once. Until `previousSecretUntil`, a day later, calls are signed with the one before as well.',
  type: SavedWebhookRef,
  input: (t) => ({ webhookId: t.globalID({ for: [WebhookRef], required: true, description: 'Which one.' }) }),
  prepare,
  work: async ({ webhookId }, { unit, context }, shown) => {
    const saved = await rotateWebhookSecret(unit, context.deps, { webhookId: webhookId.id });
    if (shown !== undefined) shown.secret = saved.secret;
    return { webhookId: saved.webhookId };
  },
  read,
});

const RemovedWebhookRef = builder.objectRef<{ readonly webhookId: string }>('RemovedWebhook').implement({
  description: 'A webhook that is no more.',
  fields: (t) => ({ removedId: t.id({ description: 'The global id it had.', resolve: ({ webhookId }) => globalId('Webhook', webhookId) }) }),
});

mutation('deleteWebhook', {
  description: 'Takes a webhook away, with its address and its secrets; what waits for it has failed. One that an SLA policy names stays.',
  type: RemovedWebhookRef,
  refusals: [NotPossible],
  input: (t) => ({ webhookId: t.globalID({ for: [WebhookRef], required: true, description: 'Which one.' }) }),
  work: ({ webhookId }, { unit }) => deleteWebhook(unit, { webhookId: webhookId.id }),
  read: async (answer) => answer,
});

mutation('testWebhook', {
  description: 'Calls a webhook once with the type “test”, to see that the receiver takes it; the delivery’s state tells what came of it.',
  type: WebhookDeliveryRef,
  input: (t) => ({ webhookId: t.globalID({ for: [WebhookRef], required: true, description: 'Which one.' }) }),
  work: ({ webhookId }, { unit }) => testWebhook(unit, { webhookId: webhookId.id }),
  read: delivery,
});

mutation('retryWebhookDelivery', {
  description: 'Tries a call that has failed again, with all its tries anew; the receiver is told the same webhook-id.',
  type: WebhookDeliveryRef,
  refusals: [NotPossible],
  input: (t) => ({ webhookDeliveryId: t.globalID({ for: [WebhookDeliveryRef], required: true, description: 'Which one.' }) }),
  work: ({ webhookDeliveryId }, { unit }) => retryWebhookDelivery(unit, { deliveryId: webhookDeliveryId.id }),
  read: delivery,
});
