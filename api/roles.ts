import type { Role } from '#db/schema.ts';

/**
 * Which role each mutation needs at least (API-6); the schema asks this table and a test prints it.
 * Besides, nobody touches what they may not see: that is `access.ts`.
 */
export const ROLES = {
  // Work in places one has access to.
  reply: 'AGENT',
  comment: 'AGENT',
  startConversation: 'AGENT',
  closeConversation: 'AGENT',
  reopenConversation: 'AGENT',
  makeTicket: 'AGENT',
  createTicket: 'AGENT',
  setTicketStatus: 'AGENT',
  setTicketPriority: 'AGENT',
  assign: 'AGENT',
  retryMessage: 'AGENT',
  settleMaybeSent: 'AGENT',
  setAvailability: 'AGENT',
  markNotificationRead: 'AGENT',
  setNotificationSwitch: 'AGENT',
  // Channels, rules, places, pipelines.
  connectChannel: 'ADMIN',
  updateChannel: 'ADMIN',
  setChannelEnabled: 'ADMIN',
  setRoutingRule: 'ADMIN',
  disconnectChannel: 'ADMIN',
  redeliver: 'ADMIN',
  createInbox: 'ADMIN',
  setAccessList: 'ADMIN',
  createPipeline: 'ADMIN',
  startTicketImport: 'ADMIN',
  addStatus: 'ADMIN',
  // People.
  createUser: 'SUPER_ADMIN',
  updateUser: 'SUPER_ADMIN',
  deactivateUser: 'SUPER_ADMIN',
  createTeam: 'SUPER_ADMIN',
  setTeamMembers: 'SUPER_ADMIN',
  createApiToken: 'SUPER_ADMIN',
} as const satisfies Record<string, Role>;

export type Operation = keyof typeof ROLES;

const RANK: Readonly<Record<Role, number>> = { AGENT: 0, ADMIN: 1, SUPER_ADMIN: 2 };

/** Whether a role reaches another. */
export function reaches(role: Role, needed: Role): boolean {
  return RANK[role] >= RANK[needed];
}

/** In words, for refusals and descriptions. */
export const ROLE_NAMES: Readonly<Record<Role, string>> = { AGENT: 'agent', ADMIN: 'admin', SUPER_ADMIN: 'super admin' };
