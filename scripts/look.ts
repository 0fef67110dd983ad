import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openBrowser } from '#test/look/browser.ts';
import { lookAtForm } from '#test/look/form.ts';

/** `npm run look [folder]`: opens what visitors see in a real browser, says what is not as it should be, and leaves pictures for people to look at. */
const folder = process.argv[2] ?? join('.trunkline', 'look');
mkdirSync(folder, { recursive: true });
let wrong = 0;
const browser = await openBrowser();
try {
  await lookAtForm(browser, {
    shot: async (page, name) => void (await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true })),
    see(what, found, wanted) {
      const fine = JSON.stringify(found) === JSON.stringify(wanted);
      console.log(`${fine ? 'ok  ' : 'NOT '} ${what}${fine ? '' : `: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`}`);
      if (!fine) wrong += 1;
    },
  });
} finally {
  await browser.close();
}
console.log(`pictures are in ${folder}`);
process.exitCode = wrong === 0 ? 0 : 1;
