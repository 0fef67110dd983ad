import type { Plugin } from '@trunkline/channel-sdk';

type Log = (message: string, fields: Readonly<Record<string, string>>) => void;
type Says = 'address' | 'snippet' | 'transcripts' | 'replyChannel' | 'preview' | 'routingTargets' | 'migrationProblems';

/** A plugin broke over a question about settings, or answered what is not of the contract. Which, and over what: nothing else of it may be shown. */
export class PluginBroke extends Error {
  override readonly name = 'PluginBroke';
  /** The function that broke. */
  readonly code: Says;
  constructor(plugin: string, what: Says, options?: { readonly cause?: unknown }) {
    super(`the plugin "${plugin}" broke over ${what}`, options);
    this.code = what;
  }
}

/**
 * The plugin, with its answers about settings checked. They are asked for in the middle of other things, a list of conversations or the closing of one: where the
 * rest can do without an answer there is none then, else `PluginBroke` is thrown, and the log names plugin and function (PLUG-11).
 */
export function guarded(plugin: Plugin, log: Log): Plugin {
  function ask<Value>(what: Says, say: () => Value, isRight: (said: Value) => boolean): Value {
    let cause: unknown;
    try {
      const said = say();
      if (isRight(said)) return said;
    } catch (error) {
      cause = error;
    }
    log('a plugin broke over the settings of a channel', { plugin: plugin.key, what, error: cause instanceof Error ? cause.name : typeof cause });
    throw new PluginBroke(plugin.key, what, { cause });
  }
  function askOr<Value>(what: Says, say: () => Value, isRight: (said: Value) => boolean, otherwise: Value): Value {
    try {
      return ask(what, say, isRight);
    } catch {
      return otherwise;
    }
  }
  const { snippet, transcripts, replyChannel, preview, routingTargets, migrationProblems } = plugin;
  return {
    ...plugin,
    address: (settings) => ask('address', () => plugin.address(settings), isFilled),
    ...(snippet && { snippet: (settings, pageUrl) => askOr('snippet', () => snippet.call(plugin, settings, pageUrl), isText, '') }),
    ...(transcripts && {
      transcripts: (settings) =>
        askOr(
          'transcripts',
          () => transcripts.call(plugin, settings),
          (said) => typeof said.onClose === 'boolean' && isTextOrNone(said.from),
          { onClose: false },
        ),
    }),
    ...(replyChannel && { replyChannel: (settings) => askOr('replyChannel', () => replyChannel.call(plugin, settings), isTextOrNone, undefined) }),
    ...(preview && {
      preview: (settings, author) =>
        ask(
          'preview',
          () => preview.call(plugin, settings, author),
          (said) => isList(said, isPart),
        ),
    }),
    ...(routingTargets && {
      routingTargets: (settings) =>
        ask(
          'routingTargets',
          () => routingTargets.call(plugin, settings),
          (said) => isList(said.userIds, isText) && isList(said.teamIds, isText),
        ),
    }),
    ...(migrationProblems && {
      migrationProblems: (settings) =>
        ask(
          'migrationProblems',
          () => migrationProblems.call(plugin, settings),
          (said) => isList(said, isText),
        ),
    }),
  };
}

/** Characters of one answer: a page's HTML at the most. */
const MOST_CHARACTERS = 100_000;

function isText(said: unknown): boolean {
  return typeof said === 'string' && said.length <= MOST_CHARACTERS;
}

function isFilled(said: unknown): boolean {
  return isText(said) && said !== '';
}

function isTextOrNone(said: unknown): boolean {
  return said === undefined || isText(said);
}

function isPart(said: unknown): boolean {
  return typeof said === 'object' && said !== null && 'label' in said && isText(said.label) && 'text' in said && isText(said.text);
}

function isList(said: unknown, isRight: (one: unknown) => boolean): boolean {
  return Array.isArray(said) && said.length <= 1_000 && said.every(isRight);
}
