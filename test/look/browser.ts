import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
/** Without any of them it may ask its maker for updates, or refuse to run in a container. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Starts the machine's own Chromium: `CHROMIUM`, or the first on the PATH. Throws where there is none. */
export async function openBrowser(): Promise<Browser> {
  const found = process.env['CHROMIUM'] ?? (process.env['PATH'] ?? '').split(delimiter).flatMap(candidates).find(existsSync);
  if (found === undefined) throw new Error('no Chromium on the PATH: install one, or name it in CHROMIUM');
  return chromium.launch({ executablePath: found, args: FLAGS });
}

function candidates(folder: string): string[] {
  return NAMES.map((name) => join(folder, name));
}
