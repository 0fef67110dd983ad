import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { inspect, isDeepStrictEqual } from 'node:util';
import { lookAtBot } from '#test/look/bot.ts';
import { openBrowser } from '#test/look/browser.ts';
import { lookAtChat } from '#test/look/chat.ts';
import { lookAtForm, type Look } from '#test/look/form.ts';
import { lookAtMail } from '#test/look/mail.ts';
import { lookAtMigration } from '#test/look/migration.ts';
import { lookAtRouting } from '#test/look/routing.ts';
import { lookAtSla } from '#test/look/sla.ts';

/** `npm run look [folder]`: opens what visitors, agents and operators see in a real browser, says what is not as it should be, and leaves pictures for people to look at. */
const folder = process.argv[2] ?? join('.trunkline', 'look');
mkdirSync(folder, { recursive: true });
let wrong = 0;
const look: Look = {
  shot: async (page, name) => void (await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true })),
  see(what, found, wanted) {
    const fine = isDeepStrictEqual(found, wanted);
    console.log(`${fine ? 'ok  ' : 'NOT '} ${what}${fine ? '' : `: ${inspect(found)}, not ${inspect(wanted)}`}`);
    if (!fine) wrong += 1;
  },
};
const browser = await openBrowser();
try {
  await lookAtMail(browser, look);
  await lookAtForm(browser, look);
  await lookAtChat(browser, look);
  await lookAtBot(browser, look);
  await lookAtRouting(browser, look);
  await lookAtSla(browser, look);
  await lookAtMigration(browser, look);
} finally {
  await browser.close();
}
console.log(`pictures are in ${folder}`);
process.exitCode = wrong === 0 ? 0 : 1;
