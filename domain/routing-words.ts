import type { DecidedBy, Explanation, LeftOutReason } from './routing.ts';

/** A decision as it is stored: of an older version it may lack what came later. */
export type StoredExplanation = Pick<Explanation, 'ownerId' | 'outcome' | 'eligible' | 'leftOut'> & Partial<Explanation>;

/** The explanation in one sentence, by ids. */
export function explainInWords(explanation: StoredExplanation): string {
  const excluded = Object.entries(explanation.leftOut).map(([reason, count]) => `${count} ${IN_WORDS[reason as LeftOutReason]}`);
  const without = `${skillsAsked(explanation)}${excluded.length === 0 ? '' : `; left out: ${excluded.join(', ')}`}`;
  switch (explanation.outcome) {
    case 'ASSIGNED':
      return `user ${explanation.ownerId} ${howChosen(explanation)}${without}`;
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

function howChosen({ decidedBy, eligible, candidates, method }: StoredExplanation): string {
  const among = `among ${eligible} eligible`;
  if (method === 'ROUND_ROBIN' && (decidedBy === 'TURN' || decidedBy === 'ID')) {
    const turn = candidates?.[0]?.turn;
    const when = turn?.last == null ? 'had never had a turn' : `had turn ${turn.last} last`;
    return `was next in turn ${among}: ${when}${turn?.served === true ? ', and all had been served in that cycle' : ''}`;
  }
  switch (decidedBy) {
    case 'OWNER':
      return 'is the owner of the contact';
    case 'DEFAULT_USER':
      return 'is the default user of the rule';
    case 'ONLY_ONE':
      return 'was the only one eligible';
    case undefined:
    case null:
    case 'TURN':
    case 'RANDOM':
      return `was chosen at random ${among}`;
    default: {
      const chosen = candidates?.[0];
      return `was the least busy ${among} with ${chosen?.open ?? 0} open${TIES[decidedBy]}`;
    }
  }
}

/** What told them from those who were equally busy. */
const TIES: Readonly<Record<Extract<DecidedBy, 'OPEN' | 'ACTIVE' | 'LAST_ASSIGNED' | 'ID'>, string>> = {
  OPEN: '',
  ACTIVE: ', as others had, and active in the place',
  LAST_ASSIGNED: ', as others had, by when each last got something',
  ID: ', as others had, by id',
};

const IN_WORDS: Readonly<Record<LeftOutReason, string>> = {
  DEACTIVATED: 'deactivated',
  NO_SEAT: 'without a paid seat',
  NO_ACCESS: 'without access',
  AWAY: 'away',
  AT_CAPACITY: 'at capacity',
  MISSING_SKILL: 'without a skill it asks for',
  NOT_RECOGNISED: 'of a contact that was not recognised',
};
