import type { Role, TokenScope } from '#db/schema.ts';

/**
 * Which role each mutation needs at least (API-6); docs/roles.md is held against it by a test.
 * Besides, nobody touches what they may not see: that is `access.ts`.
 */
export const ROLES = {
  // Work in places one has access to.
  reply: 'AGENT',
  comment: 'AGENT',
  showTyping: 'AGENT',
  startConversation: 'AGENT',
  closeConversation: 'AGENT',
  sendTranscript: 'AGENT',
  reopenConversation: 'AGENT',
  makeTicket: 'AGENT',
  createTicket: 'AGENT',
  setTicketStatus: 'AGENT',
  setTicketPriority: 'AGENT',
  assign: 'AGENT',
  setContactOwner: 'AGENT',
  retryMessage: 'AGENT',
  settleMaybeSent: 'AGENT',
  releaseFiltered: 'AGENT',
  setAvailability: 'AGENT',
  clearAvailability: 'AGENT',
  setWorkingHours: 'AGENT',
  addOutOfOffice: 'AGENT',
  removeOutOfOffice: 'AGENT',
  markNotificationRead: 'AGENT',
  setNotificationSwitch: 'AGENT',
  // Channels, rules, places, pipelines.
  connectChannel: 'ADMIN',
  updateChannel: 'ADMIN',
  setChannelEnabled: 'ADMIN',
  setRoutingRule: 'ADMIN',
  setRoutingSettings: 'ADMIN',
  disconnectChannel: 'ADMIN',
  saveSkill: 'ADMIN',
  deleteSkill: 'ADMIN',
  setUserSkills: 'ADMIN',
  setCapacity: 'ADMIN',
  saveChatflow: 'ADMIN',
  setChatflowEnabled: 'ADMIN',
  deleteChatflow: 'ADMIN',
  saveBusinessCalendar: 'ADMIN',
  deleteBusinessCalendar: 'ADMIN',
  saveSlaPolicy: 'ADMIN',
  deleteSlaPolicy: 'ADMIN',
  orderSlaPolicies: 'ADMIN',
  reevaluateSla: 'ADMIN',
  redeliver: 'ADMIN',
  addSenderRule: 'ADMIN',
  removeSenderRule: 'ADMIN',
  setSystemSender: 'ADMIN',
  removeSystemSender: 'ADMIN',
  testSystemSender: 'ADMIN',
  resendSystemMail: 'ADMIN',
  saveWebhook: 'ADMIN',
  rotateWebhookSecret: 'ADMIN',
  deleteWebhook: 'ADMIN',
  testWebhook: 'ADMIN',
  retryWebhookDelivery: 'ADMIN',
  createInbox: 'ADMIN',
  setAccessList: 'ADMIN',
  createPipeline: 'ADMIN',
  startTicketImport: 'ADMIN',
  addStatus: 'ADMIN',
  // People.
  createUser: 'SUPER_ADMIN',
  updateUser: 'SUPER_ADMIN',
  eraseContact: 'SUPER_ADMIN',
  deactivateUser: 'SUPER_ADMIN',
  createTeam: 'SUPER_ADMIN',
  setTeamMembers: 'SUPER_ADMIN',
  removeSignIn: 'SUPER_ADMIN',
  // What can not be undone.
  startChannelMigration: 'SUPER_ADMIN',
  withdrawChannelMigration: 'SUPER_ADMIN',
  // Tokens: one's own, as a super admin anybody's.
  createApiToken: 'AGENT',
  revokeApiToken: 'AGENT',
} as const satisfies Record<string, Role>;

export type Operation = keyof typeof ROLES;

const RANK: Readonly<Record<Role, number>> = { AGENT: 0, ADMIN: 1, SUPER_ADMIN: 2 };

/** Whether a role reaches another. */
export function reaches(role: Role, needed: Role): boolean {
  return RANK[role] >= RANK[needed];
}

const SCOPE_OF_ROLE: Readonly<Record<Role, TokenScope>> = { AGENT: 'work', ADMIN: 'configure', SUPER_ADMIN: 'people' };
/** Whoever makes tokens could make one that may more: so this is not work. */
const SCOPES: Partial<Readonly<Record<Operation, TokenScope>>> = { createApiToken: 'people', revokeApiToken: 'people' };

/** What a viewer lacks to call a mutation, in words; undefined: nothing. THE place where roles and scopes are asked. */
export function lacks(viewer: { readonly role: Role; readonly scopes: readonly TokenScope[] }, operation: Operation): string | undefined {
  const role = ROLES[operation];
  if (!reaches(viewer.role, role)) return `the role ${ROLE_NAMES[role]}`;
  const scope = scopeOf(operation);
  return viewer.scopes.includes('*') || viewer.scopes.includes(scope) ? undefined : `a token with the scope ${scope}`;
}

/** The scope a token needs for a mutation; reading needs none. */
export function scopeOf(operation: Operation): TokenScope {
  return SCOPES[operation] ?? SCOPE_OF_ROLE[ROLES[operation]];
}

/** In words, for refusals and descriptions. */
export const ROLE_NAMES: Readonly<Record<Role, string>> = { AGENT: 'agent', ADMIN: 'admin', SUPER_ADMIN: 'super admin' };
