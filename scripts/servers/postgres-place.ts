import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, cpSync, existsSync, lstatSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';

/** PostgreSQL refuses to run as root; this is whom it runs as instead. Undefined for an ordinary user. */
export type ServerUser = { readonly uid: number; readonly gid: number };

/** Where the programs and the data of one PostgreSQL stand. */
export type PostgresPlace = {
  /** Holds `initdb` and `postgres`. */
  readonly programs: string;
  readonly data: string;
  readonly user: ServerUser | undefined;
  /** Why the data does not stand where it was asked for, for a person. */
  readonly moved: string | undefined;
};

/** What the search for a place may be told; the defaults are the machine's own. */
export type PlaceOptions = {
  /** Where data goes that the server's user cannot reach in its own place. */
  readonly fallback?: string;
};

/**
 * Settles where PostgreSQL runs. As root it runs as the system's user `postgres` (made when missing), who must be able
 * to walk to programs and data. A repository in a directory closed to others, such as root's own home, is out of its
 * reach: then copies of the programs and the data stand under `/var/lib/trunkline`, the data by a name made of
 * the path that was asked for. Throws when no user or no place can be had.
 */
export function settlePlace(data: string, programs: string, options: PlaceOptions = {}): PostgresPlace {
  const wanted = resolve(data);
  if (userInfo().uid !== 0) {
    mkdirSync(wanted, { recursive: true, mode: 0o700 });
    return { programs, data: wanted, user: undefined, moved: undefined };
  }
  const user = serverUser();
  const fallback = options.fallback ?? '/var/lib/trunkline';
  const reachablePrograms = canRun(join(programs, 'postgres'), user) ? programs : copyPrograms(programs, fallback, user);
  mkdirSync(dirname(wanted), { recursive: true, mode: 0o711 });
  const place = canWalkTo(dirname(wanted), user) ? wanted : join(fallback, placeName(wanted));
  if (place !== wanted) openDirectory(fallback, user);
  mkdirSync(place, { recursive: true, mode: 0o700 });
  chownSync(place, user.uid, user.gid);
  return {
    programs: reachablePrograms,
    data: place,
    user,
    moved: place === wanted ? undefined : `The user postgres cannot reach ${dirname(wanted)}; the database's files stand in ${place}.`,
  };
}

/** Removes what {@link settlePlace} settled; only for throwaway servers. */
export function removePlace(place: PostgresPlace): void {
  rmSync(place.data, { recursive: true, force: true });
}

/** A new directory the server's user can walk to, for a throwaway server. */
export function throwawayDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'trunkline-postgres-'));
  chmodSync(directory, 0o711);
  return directory;
}

function placeName(wanted: string): string {
  return `${basename(dirname(dirname(wanted))) || 'root'}-${createHash('sha256').update(wanted).digest('hex').slice(0, 12)}`;
}

function serverUser(): ServerUser {
  const existing = lookUp();
  if (existing !== undefined) return existing;
  try {
    execFileSync('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', 'postgres'], {
      stdio: 'ignore',
    });
  } catch (cause) {
    throw new Error(
      'PostgreSQL does not run as root, there is no user "postgres", and it could not be made with useradd. Make that user, run as an ordinary user, or set DATABASE_URL.',
      { cause },
    );
  }
  const made = lookUp();
  if (made === undefined) throw new Error('The user "postgres" was made but cannot be found; run as an ordinary user or set DATABASE_URL.');
  return made;
}

function lookUp(): ServerUser | undefined {
  const id = (flag: string) => {
    try {
      return Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
    } catch {
      return Number.NaN;
    }
  };
  const uid = id('-u');
  const gid = id('-g');
  return Number.isInteger(uid) && Number.isInteger(gid) ? { uid, gid } : undefined;
}

// Asked of the system as that user, rather than reckoned from modes: access lists and mounts have a say too.
function canRun(file: string, user: ServerUser): boolean {
  return spawnSync('/bin/sh', ['-c', 'test -x "$0" && test -r "$0"', file], { ...user, cwd: '/', stdio: 'ignore' }).status === 0;
}

function canWalkTo(directory: string, user: ServerUser): boolean {
  return spawnSync('/bin/sh', ['-c', 'cd -- "$0"', directory], { ...user, cwd: '/', stdio: 'ignore' }).status === 0;
}

function openDirectory(directory: string, user: ServerUser): void {
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const { mode, uid } = lstatSync(directory);
  // Programs run from here; a directory somebody else can write to would let them choose which.
  if (uid !== 0 || (mode & 0o022) !== 0) {
    throw new Error(`${directory} belongs to somebody else or others may write to it; PostgreSQL is not run from there.`);
  }
  if (!canWalkTo(directory, user)) {
    throw new Error(
      `The user "postgres" can reach neither the repository nor ${directory}. Move the repository out of a closed directory, run as an ordinary user, or set DATABASE_URL.`,
    );
  }
}

function copyPrograms(programs: string, fallback: string, user: ServerUser): string {
  openDirectory(fallback, user);
  const native = dirname(programs);
  const { size, mtimeMs } = lstatSync(join(programs, 'postgres'));
  const name = createHash('sha256').update(`${size} ${mtimeMs}`).digest('hex').slice(0, 12);
  const target = join(fallback, `postgres-programs-${name}`);
  if (!existsSync(target)) {
    const half = mkdtempSync(join(fallback, 'half-'));
    chmodSync(half, 0o755);
    cpSync(native, join(half, 'native'), { recursive: true, verbatimSymlinks: true });
    try {
      renameSync(half, target);
    } catch (error) {
      rmSync(half, { recursive: true, force: true });
      // Somebody else was faster with the same copy.
      if (!existsSync(target)) throw error;
    }
  }
  return join(target, 'native', 'bin');
}
