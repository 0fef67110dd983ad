/** Runs one act after the other. */
export type Alone = <T>(act: () => Promise<T>) => Promise<T>;

/**
 * One at a time among all tabs of the page's origin. Where the browser has no locks (a page without TLS) or refuses them (storage is blocked), one
 * at a time in this tab: what two tabs then do at once, they do with the same ids, and the server takes it once.
 */
export function aloneAs(name: string, locks: LockManager | undefined): Alone {
  let last: Promise<unknown> = Promise.resolve();
  const inThisTab: Alone = (act) => {
    const mine = last.then(act);
    last = mine.catch(() => undefined);
    return mine;
  };
  return (act) =>
    inThisTab(async () => {
      if (locks === undefined) return act();
      let begun = false;
      const run = () => {
        begun = true;
        return act();
      };
      try {
        return await locks.request(name, run);
      } catch (error) {
        if (begun) throw error;
        return act();
      }
    });
}
