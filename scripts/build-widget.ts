import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { buildWidget, widgets } from '#scripts/widget/build.ts';

/** `npm run widget`: makes `assets/widget.js` of the browser code in every plugin's `widget` folder. The file is committed; a test compares it with what it is made of. */
for (const { entry, output } of widgets()) {
  const code = await buildWidget(entry);
  writeFileSync(output, code);
  console.log(`${output}: ${Buffer.byteLength(code)} bytes, ${gzipSync(code).byteLength} compressed`);
}
