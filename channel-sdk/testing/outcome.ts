import { isChannelFailure, type Failure } from '../index.ts';
import { fail } from './check.ts';

/** What came of a plugin's function: its value, or the failure it threw on purpose. */
export type Outcome<Value> =
  | { readonly value: Value; readonly failure?: undefined }
  | { readonly value?: undefined; readonly failure: Failure; readonly error: Error };

const LONGEST_WAIT = 15_000;

/** Runs a plugin's function. Ends the check where it throws anything but a `ChannelFailure`, or does not end. */
export async function outcomeOf<Value>(what: string, work: () => Value | Promise<Value>, millis = LONGEST_WAIT): Promise<Outcome<Value>> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Late()), millis);
  const before = process.cpuUsage();
  try {
    const value = await Promise.race([(async () => work())(), late.promise]);
    // Work without a pause lets no timer come in between; counted as work of this process, for the machine may have other things to do.
    const { user, system } = process.cpuUsage(before);
    if (user + system > millis * 1_000) throw new Late();
    return { value };
  } catch (error) {
    if (error instanceof Late) fail(`${what} did not end within ${millis} ms`, 'give every wait an end: context.signal, a limit of your own');
    if (isChannelFailure(error)) return { failure: error.failure, error };
    const name = error instanceof Error ? `${error.name}: ${error.message.slice(0, 200)}` : String(error);
    return fail(`${what} threw ${name}`, 'throw a ChannelFailure and nothing else; what can not be read is Malformed', error);
  } finally {
    clearTimeout(timer);
  }
}

/** Its value; a failure ends the check. */
export async function valueOf<Value>(what: string, work: () => Value | Promise<Value>, millis?: number): Promise<Value> {
  const outcome = await outcomeOf(what, work, millis);
  if (outcome.failure !== undefined) fail(`${what} failed: ${outcome.error.message}`, 'mend the plugin, or the sample if it is not what the provider sends');
  return outcome.value;
}

class Late extends Error {}
