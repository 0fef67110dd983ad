import chat from '@trunkline/plugin-chat';
import email from '@trunkline/plugin-email';
import form from '@trunkline/plugin-form';
import { loadConfig } from '#runtime/plugins.ts';

/** The only file that names plugins: imported, or by package name or path as a text. `TRUNKLINE_PLUGINS` names more without an edit. */
export default await loadConfig({
  plugins: [email, form, chat],
  further: process.env['TRUNKLINE_PLUGINS'],
  from: import.meta.url,
});
