import { NEAREST_FIRST, type CandidateNote, type Explanation, type LeftOutReason } from './routing.ts';

/** A decision as it is stored: of an older version it may lack what came later. */
export type StoredExplanation = Pick<Explanation, 'ownerId' | 'outcome' | 'eligible' | 'leftOut'> & Partial<Explanation>;

/** The explanation in one sentence, by ids: of a decision, or of a preview, which names nobody where one is picked at random. */
export function explainInWords(explanation: StoredExplanation): string {
  const { leftOut } = explanation;
  const excluded = NEAREST_FIRST.flatMap((reason) => (leftOut[reason] === undefined ? [] : [`${leftOut[reason]} ${IN_WORDS[reason]}`]));
  const without = `${skillsAsked(explanation)}${excluded.length === 0 ? '' : `; left out: ${excluded.join(', ')}`}`;
  switch (explanation.outcome) {
    case 'ASSIGNED':
      if (explanation.ownerId === null) return `one of ${explanation.eligible} eligible would be chosen at random${without}`;
      return `user ${explanation.ownerId} ${howChosen(explanation)}${without}`;
    case 'CHANNEL_OFF':
      return 'unassigned: the channel is switched off';
    case 'RULE_IS_NOBODY':
      return 'unassigned: the rule of the channel is "nobody"';
    case 'NO_OWNER':
      return 'unassigned: the contact has no owner, and the rule has no default user';
    case 'NOBODY_ELIGIBLE':
      return explanation.rule === 'TEAM'
        ? `it stays with the team: none of its primary members was eligible${without}`
        : `unassigned: none of those the rule names was eligible${without}`;
  }
}

function skillsAsked({ skillRule }: StoredExplanation): string {
  if (skillRule === undefined) return '';
  return `; by skill rule ${skillRule.position}${skillRule.fellBack ? ', whose skills nobody free had' : ''}`;
}

function howChosen({ decidedBy, eligible, candidates, method, recentlyAssignedFirst }: StoredExplanation): string {
  const among = `among ${eligible} eligible`;
  const [chosen, next] = (candidates ?? []).filter(({ outcome }) => outcome !== 'LEFT_OUT');
  if (method === 'ROUND_ROBIN' && (decidedBy === 'TURN' || decidedBy === 'ID')) return `was next in turn ${among}: ${turnOf(chosen)}${thenTurnOf(next)}`;
  switch (decidedBy) {
    case 'OWNER':
      return 'is the owner of the contact';
    case 'DEFAULT_USER':
      return 'is the default user of the rule';
    case 'ONLY_ONE':
      return 'was the only one eligible';
    case 'OPEN':
    case 'ACTIVE':
    case 'LAST_ASSIGNED':
    case 'ID': {
      const words = `was the least busy ${among} with ${chosen?.open ?? 0} open`;
      if (next === undefined) return words;
      const compared = decidedBy === 'LAST_ASSIGNED' ? lastAssigned(chosen, next, recentlyAssignedFirst === true) : COMPARED[decidedBy](next);
      return `${words}; user ${next.userId}, the next, ${compared}`;
    }
    default:
      return `was chosen at random ${among}`;
  }
}

/** How the next nearest fared, by what told the two apart. */
const COMPARED: Readonly<Record<'OPEN' | 'ACTIVE' | 'ID', (next: CandidateNote) => string>> = {
  OPEN: ({ open }) => `had ${open ?? 0}`,
  ACTIVE: () => 'had as many, but was not active in the place',
  ID: () => 'had as many and all else alike: the lower id goes first',
};

function lastAssigned(chosen: CandidateNote | undefined, next: CandidateNote, latestFirst: boolean): string {
  const at = (note?: CandidateNote): string => note?.lastAssignedAt ?? 'never';
  return `had as many: who got something ${latestFirst ? 'last' : 'longest ago'} goes first, ${at(chosen)} against ${at(next)}`;
}

function turnOf(note: CandidateNote | undefined): string {
  if (note?.turn?.last == null) return 'had never had a turn';
  return `had turn ${note.turn.last} last${note.turn.served ? ', and had been served in that cycle' : ''}`;
}

function thenTurnOf(next: CandidateNote | undefined): string {
  return next === undefined ? '' : `; user ${next.userId}, the next, ${turnOf(next)}`;
}

const IN_WORDS: Readonly<Record<LeftOutReason, string>> = {
  DEACTIVATED: 'deactivated',
  NO_SEAT: 'without a paid seat',
  NO_ACCESS: 'without access',
  AWAY: 'away',
  AT_CAPACITY: 'at capacity',
  MISSING_SKILL: 'without a skill it asks for',
  NOT_RECOGNISED: 'of a contact that was not recognised',
};
